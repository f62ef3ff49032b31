"""The READMEs as the package index shows them: without the repository beside them."""

from __future__ import annotations

import re
import tomllib

import pytest

from .conftest import EMULATOR, PROVIDER, ROOT, Project

markdown = pytest.importorskip(
    "readme_renderer.markdown", reason="only the newest environment has the tools of a release"
)

URLS: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]
REPOSITORY = URLS["Repository"]
OWN = re.compile(
    rf"^(?:{re.escape(REPOSITORY)}/(?:blob|tree)|{re.escape(REPOSITORY.replace('github.com', 'raw.githubusercontent.com'))})"
    r"/main/([^#?]+)(?:#(.+))?$"
)


@pytest.fixture(params=[PROVIDER, EMULATOR], ids=lambda project: project.package)
def page(request: pytest.FixtureRequest) -> str:
    """Each of the two READMEs, as HTML."""
    project: Project = request.param
    rendered: str | None = markdown.render((project.folder / "README.md").read_text())
    assert rendered is not None
    return rendered


def links(page: str) -> list[str]:
    return re.findall(r'(?:href|src)="([^"]+)"', page)


def missing(link: str) -> str | None:
    """Return why a link into the repository is dead; None if it is not."""
    found = OWN.match(link)
    if found is None:
        return None
    target = ROOT / found[1]
    if not target.exists():
        return "no such file"
    if found[2] is None:
        return None
    headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}
    return None if found[2] in anchors else "no such heading"


def test_has_absolute_links_only(page: str) -> None:
    ids = set(re.findall(r'\sid="([^"]+)"', page))
    assert len(links(page)) > 3
    for link in links(page):
        assert link.startswith("https://") or (link.startswith("#") and link[1:] in ids), link


def test_links_into_the_repository_exist(page: str) -> None:
    assert {link: reason for link in links(page) if (reason := missing(link))} == {}


def test_a_dead_link_is_found() -> None:
    assert missing(f"{REPOSITORY}/blob/main/docs/nothing.md") == "no such file"
    assert missing(f"{REPOSITORY}/blob/main/docs/large.md#nothing") == "no such heading"
    assert missing(f"{REPOSITORY}/blob/main/docs/large.md#measurements") is None


def test_every_reference_is_defined(page: str) -> None:
    text = re.sub(r"<[^>]+>", "", re.sub(r"<(pre|code)\b.*?</\1>", "", page, flags=re.DOTALL))
    assert re.findall(r"\[[^\]]*\]", text) == []


@pytest.mark.parametrize("project", [PROVIDER, EMULATOR], ids=lambda project: project.package)
def test_project_urls_are_in_one_repository(project: Project) -> None:
    urls: dict[str, str] = tomllib.loads((project.folder / "pyproject.toml").read_text())["project"]["urls"]
    assert set(urls) == {"Repository", "Documentation", "Changelog", "Issues", "Support"}
    assert urls["Repository"] == REPOSITORY
    for url in urls.values():
        assert url.startswith(REPOSITORY)
        assert missing(url) is None


def test_every_other_mention_of_the_repository_agrees() -> None:
    name = REPOSITORY.rpartition("/")[2]
    files = [
        *ROOT.glob("*.md"),
        *ROOT.glob("*.yml"),
        *(ROOT / ".github").rglob("*.yml"),
        *(ROOT / "docs").rglob("*.md"),
    ]
    found = {
        (path.name, url)
        for path in files
        for url in re.findall(rf"https://github\.com/[\w.-]+/{re.escape(name)}\b", path.read_text())
    }
    assert len(found) >= 2
    assert {url for _, url in found} == {REPOSITORY}
