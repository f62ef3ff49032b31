"""The Containerfile: checked by hadolint, and by the rules that hadolint does not know."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from itwin_emulator.__main__ import _parser
from plugin_metadata import DISTRIBUTION

FILE = DISTRIBUTION / "Containerfile"
HADOLINT = Path(sys.executable).with_name("hadolint")


def instructions() -> list[tuple[str, str]]:
    text = FILE.read_text().replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(name, " ".join(rest.split())) for name, _, rest in (line.partition(" ") for line in lines)]


def only(instruction: str) -> str:
    [value] = [value for name, value in instructions() if name == instruction]
    return value


def test_hadolint_has_no_objection() -> None:
    if not HADOLINT.exists():
        pytest.skip("hadolint is not installed; only the newest environment has it")
    done = subprocess.run([HADOLINT, "--no-color", FILE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_base_image_is_slim_and_supported() -> None:
    image, _, tag = only("FROM").partition(":")
    assert image == "python"
    version, _, variant = tag.partition("-")
    assert variant == "slim"
    assert tuple(map(int, version.split("."))) >= (3, 11)


def test_everything_that_is_copied_exists() -> None:
    for value in (value for name, value in instructions() if name == "COPY"):
        *sources, _ = value.split()
        assert [source for source in sources if not (DISTRIBUTION / source).exists()] == []


def test_runs_as_a_non_root_user() -> None:
    names = [name for name, _ in instructions()]
    user = only("USER")
    assert int(user) >= 1000
    assert f"useradd --uid {user}" in only("RUN")
    assert names.index("RUN") < names.index("USER") < names.index("ENTRYPOINT")


def test_the_command_is_valid_and_reachable_from_outside() -> None:
    command = json.loads(only("ENTRYPOINT"))
    arguments = [*command[1:], *json.loads(only("CMD"))]
    options = _parser().parse_args(arguments)
    assert command[0] == "itwin-emulator"
    assert (options.host, options.allow_remote) == ("0.0.0.0", True)
    assert only("EXPOSE") == str(options.port)


def test_the_health_check_requests_the_emulator() -> None:
    check = only("HEALTHCHECK")
    *_, code = json.loads(check[check.index("[") :])
    compile(code, "HEALTHCHECK", "exec")
    assert f"http://127.0.0.1:{only('EXPOSE')}/emulator" in code
