"""Upload tasks against the emulator, and what is in its storage afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import requests

from airflow_provider_itwin.api.storage import endpoints
from airflow_provider_itwin.hooks.itwin import ITwinHook
from airflow_provider_itwin.operators.upload import ITwinUploadFilesOperator
from tests.airflow.operators.run_operators import NIGHT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_itwin.api.client import ITwinClient
    from itwin_emulator import Emulator
    from tests.airflow.single_task import Outcome

WRITES = ("create-file", "update-file-content", "put-blob", "put-block", "put-block-list", "complete-file-upload")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


class Night:
    """Runs upload tasks, and reads what is in Storage then."""

    def __init__(self, emulator: Emulator, run_task: Callable[..., Outcome], source: Path) -> None:
        self.emulator = emulator
        self.source = source
        self._run_task = run_task
        self.hook = ITwinHook()

    def upload(self, *, try_number: int = 1, **parameters: Any) -> Outcome:
        parameters = {"source": str(self.source), "connection_id": NIGHT, "folder_path": "Design"} | parameters
        self.emulator.request_log.clear()
        outcome = self._run_task(ITwinUploadFilesOperator(task_id="upload", **parameters), try_number=try_number)
        assert self.emulator.token_leaks() == []
        return outcome

    def requests(self, *operations: str) -> list[str]:
        """Return which of these operations were requested."""
        return [entry.operation for entry in self.emulator.request_log if entry.operation in operations]

    def stored(self, folder: str = "Design") -> dict[str, str]:
        """Return the content of the files in a folder of Storage, by name."""
        itwin_id = self.hook.describe_connection(NIGHT).itwin_id or ""
        found = {}
        for item in self.hook.list_folder(self.hook.find_folder(itwin_id, folder)):
            if not item.is_folder:
                url = self.hook.get_conn().call(endpoints.download_file(item.id or ""))
                found[item.display_name or ""] = requests.get(url, timeout=10).text
        return found

    def connected(self) -> dict[str | None, str | None]:
        """Return the connectors of the source files of the connection, by name."""
        return {file.last_known_file_name: file.connector_type for file in self.hook.list_source_files(NIGHT)}


def outcomes(outcome: Outcome) -> dict[str, str]:
    assert outcome.state == "success", outcome.text
    return {file["path"]: file["outcome"] for file in outcome.value}


def replace_content(client: ITwinClient, file_id: str, text: str) -> None:
    """Replace the content of a file in Storage, as another program would."""
    upload = client.call(endpoints.update_file_content(file_id, "name"))
    headers = {"x-ms-blob-type": "BlockBlob"}
    requests.put(upload.url, data=text.encode(), headers=headers, timeout=10).raise_for_status()
    client.call(endpoints.complete_file(file_id))
