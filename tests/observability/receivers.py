"""Receivers of metrics on loopback: one of the StatsD protocol, one of the OpenTelemetry protocol."""

from __future__ import annotations

import gzip
import re
import socket
import threading
from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Protocol, Self

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality

from airflow_provider_itwin.version_compat import AIRFLOW_V_3_2_PLUS

if TYPE_CHECKING:
    from types import TracebackType

Tags = frozenset[tuple[str, str]]
Key = tuple[str, Tags]

# The prefix is Airflow's own.
_OURS = "airflow.itwin."
_LINE = re.compile(r"(?P<name>[^,:|]+)(?:,(?P<tags>[^:|]+))?:(?P<value>[^|]+)\|(?P<type>c|ms|g)")


def key(name: str, **tags: str) -> Key:
    """Return a metric of this provider with its tags, as the receivers list it."""
    return f"airflow.{name}", frozenset(tags.items())


class Receiver(Protocol):
    """What both receivers offer; names have Airflow's prefix."""

    environment: dict[str, str]
    """Environment variables that make Airflow send its metrics here."""

    def counters(self) -> dict[Key, int]:
        """Return the total of each counter."""

    def timers(self) -> dict[Key, list[float]]:
        """Return count and sum (in milliseconds) of each timer."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None: ...


class StatsdListener:
    """
    A StatsD server: lines of UDP datagrams.

    :param tags: whether Airflow adds tags to the names, as InfluxDB reads them
    """

    def __init__(self, *, tags: bool = True) -> None:
        self.lines: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.2)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self.environment = {
            "AIRFLOW__METRICS__STATSD_ON": "True",
            "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
            "AIRFLOW__METRICS__STATSD_PORT": str(self._socket.getsockname()[1]),
            "AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED": str(tags),
        }

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(5.0)
        self._socket.close()

    def counters(self) -> dict[Key, int]:
        totals: Counter[Key] = Counter()
        for metric, value, kind in self._ours():
            if kind == "c":
                totals[metric] += int(value)
        return dict(totals)

    def timers(self) -> dict[Key, list[float]]:
        totals: dict[Key, list[float]] = {}
        for metric, value, kind in self._ours():
            if kind == "ms":
                _add(totals, metric, 1, value)
        return totals

    def _receive(self) -> None:
        while not self._stop.is_set():
            try:
                datagram = self._socket.recv(65_536)
            except TimeoutError:
                continue
            self.lines += datagram.decode().splitlines()

    def _ours(self) -> list[tuple[Key, float, str]]:
        found = []
        for line in list(self.lines):
            if line.startswith(_OURS):
                match = _LINE.fullmatch(line)
                assert match, f"not a line of StatsD: {line!r}"
                tags = frozenset(_pair(tag) for tag in (match["tags"] or "").split(",") if tag)
                found.append(((match["name"], tags), float(match["value"]), match["type"]))
        return found


@dataclass(frozen=True)
class _Point:
    """The newest value of one time series of one process."""

    count: int
    value: float
    is_timer: bool


class OtlpReceiver:
    """
    An OpenTelemetry collector: OTLP over HTTP, with protobuf.

    :param delta: whether processes report increments; otherwise they report totals since their start
    """

    def __init__(self, *, delta: bool = True) -> None:
        self._temporality = AggregationTemporality.Value(
            f"AGGREGATION_TEMPORALITY_{'DELTA' if delta else 'CUMULATIVE'}"
        )
        self._points: dict[tuple[Key, int], _Point] = {}
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                if self.path == "/v1/metrics":
                    receiver.receive(ExportMetricsServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.end_headers()
                self.wfile.write(ExportMetricsServiceResponse().SerializeToString())

            def log_message(self, *_: Any) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        host, port = "127.0.0.1", self._server.server_address[1]
        self.environment = {
            "AIRFLOW__METRICS__OTEL_ON": "True",
            "AIRFLOW__METRICS__OTEL_INTERVAL_MILLISECONDS": "500",
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta" if delta else "cumulative",
        }
        if AIRFLOW_V_3_2_PLUS:
            self.environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://{host}:{port}"
            self.environment["OTEL_METRIC_EXPORT_INTERVAL"] = "500"
        else:
            self.environment["AIRFLOW__METRICS__OTEL_HOST"] = host
            self.environment["AIRFLOW__METRICS__OTEL_PORT"] = str(port)
            # Airflow 2.11 reports seconds without this setting.
            self.environment["AIRFLOW__METRICS__TIMER_UNIT_CONSISTENCY"] = "True"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join(5.0)
        self._server.server_close()

    def receive(self, request: ExportMetricsServiceRequest) -> None:
        """
        Keep the newest point of each series.

        The start time tells the increments of a series apart, and the totals of different processes.
        """
        for metric in (
            metric
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name.startswith(_OURS)
        ):
            data = getattr(metric, metric.WhichOneof("data"))
            if metric.WhichOneof("data") != "gauge":
                assert data.aggregation_temporality == self._temporality, metric.name
            for point in data.data_points:
                tags = frozenset((one.key, one.value.string_value) for one in point.attributes)
                series = ((metric.name, tags), point.start_time_unix_nano)
                if metric.WhichOneof("data") == "sum":
                    assert data.is_monotonic, metric.name
                    self._points[series] = _Point(0, point.as_int or point.as_double, is_timer=False)
                elif metric.WhichOneof("data") == "gauge":  # Airflow before 3.2
                    self._points[series] = _Point(1, point.as_double, is_timer=True)
                else:
                    assert metric.unit == "ms", metric.name
                    self._points[series] = _Point(point.count, point.sum, is_timer=True)

    def counters(self) -> dict[Key, int]:
        totals: Counter[Key] = Counter()
        for (metric, _), point in list(self._points.items()):
            if not point.is_timer:
                totals[metric] += int(point.value)
        return dict(totals)

    def timers(self) -> dict[Key, list[float]]:
        totals: dict[Key, list[float]] = {}
        for (metric, _), point in list(self._points.items()):
            if point.is_timer:
                _add(totals, metric, point.count, point.value)
        return totals


def _add(totals: dict[Key, list[float]], metric: Key, count: int, value: float) -> None:
    total = totals.setdefault(metric, [0, 0.0])
    total[0] += count
    total[1] += value


def _pair(tag: str) -> tuple[str, str]:
    name, _, value = tag.partition("=")
    return name, value
