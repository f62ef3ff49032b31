"""On a machine in FIPS mode, only approved hashes can be used: the package needs no others."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import airflow_provider_itwin

PACKAGE = Path(airflow_provider_itwin.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))

APPROVED = {"sha256", "hmac", "digest", "compare_digest"}
REFUSED = {"md5", "sha1", "blake2b", "blake2s", "new", "file_digest", "uuid3", "uuid5", "ripemd160", "sm3"}

# Each algorithm that may be missing or refused is made to raise, before anything of the package is imported.
PRELUDE = """
import hashlib, _hashlib

def refuse(*args, **kwargs):
    raise ValueError("[digital envelope routines] disabled for FIPS")

for name in ("md5", "sha1", "blake2b", "blake2s"):
    setattr(hashlib, name, refuse)
import uuid
uuid.uuid3 = uuid.uuid5 = refuse
"""

USES = {
    "credentials": """
from airflow_provider_itwin.api.http.auth import ClientCredentials
assert len(ClientCredentials("a", "b").fingerprint) == 64
""",
    "token": """
from airflow_provider_itwin.api.http.auth import ReadyToken
assert len(ReadyToken("a").fingerprint) == 64
""",
    "network": """
from airflow_provider_itwin.api.http.config import Network
assert len(Network().fingerprint) == 64
""",
    "ids of the emulator": """
from itwin_emulator.domain.ids import derived_guid, derived_id
assert len(derived_id("a")) == 40
assert len(derived_guid("a")) == 36
""",
    "tokens of the emulator": """
import requests
from airflow_provider_itwin.api.http.config import Account
from airflow_provider_itwin.api.client import ITwinClient
from airflow_provider_itwin.api.http.auth import ClientCredentials
from airflow_provider_itwin.api.http.config import Environment
from itwin_emulator import Emulator
with Emulator() as emulator:
    emulator.add_connection(connection_id="c1", files=["a.dgn"])
    account = Account(Environment.of(emulator.url), ClientCredentials(emulator.client_id, emulator.client_secret))
    with ITwinClient(account) as client:
        client.ensure_run("c1")
        assert list(client.list_source_files("c1"))
""",
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_nothing_needs_a_hash_that_fips_refuses(use: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + use], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("source", SOURCES, ids=[str(path.relative_to(PACKAGE)) for path in SOURCES])
def test_no_module_names_such_a_hash(source: Path) -> None:
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in ("hashlib", "hmac")
        ):
            assert node.attr in APPROVED
        if isinstance(node, ast.ImportFrom) and node.module in ("hashlib", "hmac", "uuid", "_hashlib"):
            assert not {alias.name for alias in node.names} & REFUSED
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "uuid":
            assert node.attr not in REFUSED
