"""A server with the Mesh Export API, which the emulator does not have: exports that are complete at the third poll."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

ACCEPTED = "application/vnd.bentley.itwin-platform.v1+json"


class MeshExportServer(ThreadingHTTPServer):
    """The server; use it as a context manager."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, str, Any]] = []
        """Method, path and body of each request."""

    @property
    def url(self) -> str:
        """The URL of the server."""
        return f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> MeshExportServer:
        Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: MeshExportServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if body.get("exportType") not in ("3DFT", "CESIUM", "IMODEL", "3DTiles") or "iModelId" not in body:
            self._respond(422, {"error": {"code": "InvalidMeshExportRequest", "message": "Cannot start Export."}})
        else:
            self._respond(202, {"export": {"id": "mesh-1", "status": "NotStarted", "request": body}}, body)

    def do_GET(self) -> None:
        polls = sum(method == "GET" for method, _, _ in self.server.requests)
        status = ("NotStarted", "InProgress")[polls] if polls < 2 else "Complete"
        self._respond(200, {"export": {"id": "mesh-1", "status": status}})

    def _respond(self, status: int, values: Any, body: Any = None) -> None:
        if self.headers["accept"] != ACCEPTED:
            status, values = 406, {"error": {"code": "NotAcceptable", "message": "Another version was expected."}}
        self.server.requests.append((self.command, self.path, body))
        text = json.dumps(values).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Log nothing."""
