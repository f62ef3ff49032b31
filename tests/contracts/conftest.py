from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from itwin_emulator import Emulator, ManualClock

from . import contract

MEDIA_TYPE = "application/vnd.bentley.itwin-platform.v1+json"
STORAGE = "/synchronization/imodels/storageconnections"
MANIFEST = "/synchronization/imodels/manifestconnections"
EXPORT = "/export/connections"
ROOTS = {"storage": STORAGE, "manifest": MANIFEST, "export": EXPORT}
START = {"storage": "run", "manifest": "runs", "export": "runs"}
RUN_BODIES: dict[str, dict[str, Any] | None] = {"storage": None, "manifest": {}, "export": {"exportType": "IFC"}}


class Witness:
    """Asks, and holds every answer against the documentation."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.session = requests.Session()
        self.session.trust_env = False
        self.token: str | None = emulator.make_token(emulator.client_id)
        self.seen: Counter[tuple[str | None, int, bool]] = Counter()

    def ask(
        self, method: str, path: str, body: Any = None, *, prefer: str | None = None, version: int = 1
    ) -> requests.Response:
        headers = {"Accept": MEDIA_TYPE.replace("v1", f"v{version}")}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        if prefer is not None:
            headers["Prefer"] = f"return={prefer}"
        url = path if path.startswith("http") else self.emulator.url + path
        given = {"data": body} if isinstance(body, bytes) else {"json": body}
        answer = self.session.request(method, url, headers=headers, timeout=10, allow_redirects=False, **given)
        self.judge(answer, representation=prefer == "representation")
        return answer

    def judge(self, answer: requests.Response, *, representation: bool = False) -> None:
        operation = self.emulator.request_log.latest(1)[0].operation
        self.seen[operation, answer.status_code, representation] += 1
        place = contract.place_of(operation, answer.status_code, representation=representation)
        assert answer.headers["x-correlation-id"]
        assert answer.headers["Date"].endswith("GMT")
        if place is None:
            assert answer.content == b""
            assert "Content-Type" not in answer.headers
            return
        if answer.headers["Content-Type"] == "text/csv":
            contract.check(answer.text, place)
            return
        assert answer.headers["Content-Type"].startswith("application/json")
        contract.check(answer.json(), place)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(speed=60)


@pytest.fixture
def emulator(clock: ManualClock) -> Iterator[Emulator]:
    with Emulator(clock=clock) as running:
        yield running


@pytest.fixture
def demo(clock: ManualClock) -> Iterator[Emulator]:
    with Emulator(clock=clock, scenario="demo") as running:
        yield running


@pytest.fixture
def witness(emulator: Emulator) -> Witness:
    return Witness(emulator)
