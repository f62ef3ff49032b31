"""The workflows and forms in .github, which run only after a push."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from tests.distributed.broker import REDIS_URL
from tests.system import database

from .conftest import EMULATOR, PROVIDER, ROOT

GITHUB = ROOT / ".github"
WORKFLOWS = {path.stem: path for path in sorted((GITHUB / "workflows").glob("*.yml"))}
MAKEFILE = (ROOT / "Makefile").read_text()
USES = re.compile(r"uses: ([\w./-]+)@(\S+)(?: # (\S+))?$", re.MULTILINE)


def jobs(workflow: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(WORKFLOWS[workflow].read_text())["jobs"]
    return found


def lint(folder: Path) -> tuple[int, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", ROOT / "scripts" / "lint_github.sh", folder],
        env=os.environ | {"PATH": path, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_all_files_are_valid() -> None:
    status, output = lint(GITHUB)
    assert status == 0, output


@pytest.mark.parametrize(
    ("name", "right", "wrong", "message"),
    [
        ("workflows/tests.yml", "runs-on:", "run-on:", "run-on"),
        ("workflows/tests.yml", "timeout-minutes: 150\n", "continue-on-error: false\n", "timeout-minutes"),
        ("workflows/tests.yml", r" +with:\n +persist-credentials: false\n", "", "artipacked"),
        (
            "workflows/tests.yml",
            r"(?s)permissions: {}\n(.*?) +permissions:\n +contents: read\n",
            r"\1",
            "excessive-permissions",
        ),
        ("workflows/codeql.yml", r"@[0-9a-f]{40} # \S+", "@v4", "unpinned-uses"),
        ("workflows/release.yml", r'"\$GITHUB_REF_NAME" --v', "${{ github.ref_name }} --v", "template-injection"),
        ("dependabot.yml", "interval: weekly", "interval: sometimes", "sometimes"),
        ("ISSUE_TEMPLATE/bug.yml", "type: dropdown", "type: menu", "menu"),
        ("ISSUE_TEMPLATE/config.yml", "about:", "description:", "about"),
    ],
)
def test_a_mistake_is_found(name: str, right: str, wrong: str, message: str, tmp_path: Path) -> None:
    folder = tmp_path / ".github"
    shutil.copytree(GITHUB, folder)
    text, replaced = re.subn(right, wrong, (folder / name).read_text(), count=1)
    assert replaced
    (folder / name).write_text(text)
    status, output = lint(folder)
    assert status != 0
    assert message in output


def test_actions_are_pinned_to_one_commit_with_its_version() -> None:
    pins: dict[str, set[tuple[str, str]]] = {}
    for path in WORKFLOWS.values():
        for action, commit, version in USES.findall(path.read_text()):
            owner = "/".join(action.split("/")[:2])
            pins.setdefault(owner, set()).add((commit, version))
            assert re.fullmatch(r"[0-9a-f]{40}", commit), f"{path.name}: {action}"
            assert re.fullmatch(r"v\d+\.\d+\.\d+", version), f"{path.name}: {action}"
    assert len(pins) >= 5
    assert [action for action, versions in pins.items() if len(versions) > 1] == []


def test_only_the_jobs_that_need_a_permission_have_it() -> None:
    needed = {
        "codeql/analyze": {"security-events"},
        "release/publish-emulator": {"id-token"},
        "release/publish-provider": {"id-token"},
        "release/release": {"contents"},
    }
    writable = {
        f"{workflow}/{name}": {what for what, access in job["permissions"].items() if access == "write"}
        for workflow in WORKFLOWS
        for name, job in jobs(workflow).items()
    }
    assert {job: permissions for job, permissions in writable.items() if permissions} == needed


def test_the_workflows_run_existing_make_targets() -> None:
    commands = [
        step["run"]
        for workflow in WORKFLOWS
        for job in jobs(workflow).values()
        for step in job.get("steps", [])
        if step.get("run", "").startswith("make ")
    ]
    matrix = jobs("release")["matrix"]["strategy"]["matrix"]["airflow"]
    targets = {target for command in commands for target in re.findall(r'^make "?([\w.$-]+)', command)}
    targets = {target.replace("$AIRFLOW", version) for target in targets for version in matrix}
    assert {"test", "release-check", "release-files"} < targets
    assert {target for target in targets if not re.search(rf"^{re.escape(target)}:", MAKEFILE, re.MULTILINE)} == set()


def test_a_release_needs_the_tests_of_the_whole_matrix() -> None:
    recipe = MAKEFILE.partition("\ntest-matrix:")[2].partition("\n\n")[0]
    assert jobs("release")["matrix"]["strategy"]["matrix"]["airflow"] == re.findall(
        r"\(MAKE\) test-(?!browser)(\S+)", recipe
    )
    # The tests on the newest Airflow are part of the gate.
    assert "make test " in (ROOT / ".ci" / "run").read_text()
    assert jobs("tests")["all"]["steps"][-1]["run"] == "bash .ci/run"
    assert jobs("release")["build"]["needs"] == ["tests", "matrix"]


def test_the_services_are_where_the_tests_expect_them() -> None:
    services = jobs("tests")["all"]["services"]
    assert services["postgres"]["ports"] == [f"{database.HOST}:{database.PORT}:5432"]
    redis = urlsplit(REDIS_URL)
    assert services["redis"]["ports"] == [f"{redis.hostname}:{redis.port}:6379"]


@pytest.mark.parametrize("project", [PROVIDER, EMULATOR], ids=lambda project: project.package)
def test_each_distribution_is_published_from_an_environment_of_its_own(project: Any) -> None:
    name = tomllib.loads((project.folder / "pyproject.toml").read_text())["project"]["name"]
    [job] = [job for job in jobs("release").values() if job.get("environment") == f"publish-{name}"]
    assert f"! -name '{project.package}-*' -delete" in job["steps"][1]["run"]
    assert name in (ROOT / "CONTRIBUTING.md").read_text()


def test_the_newest_python_is_tested() -> None:
    newest = max(int(minor) for minor in re.findall(r"scripts/venv\.sh \.venv\S* \S+ (\d+)$", MAKEFILE, re.MULTILINE))
    job = jobs("tests")["newest-python"]
    assert job["env"]["PYTHON"] == f"python3.{newest}"
    assert job["steps"][1]["with"]["python-version"] == f"3.{newest}"
    for project in (PROVIDER, EMULATOR):
        classifiers = tomllib.loads((project.folder / "pyproject.toml").read_text())["project"]["classifiers"]
        minors = [int(minor) for one in classifiers for minor in re.findall(r":: 3\.(\d+)$", one)]
        assert minors == list(range(11, newest + 1))
