"""The site as a whole: built without a warning, complete, and with nothing fetched from anywhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from airflow_provider_itwin import metrics
from scripts.site_pages import classes_of_errors, texts_of_errors
from scripts.site_picture import edges, rooms

from .pages import DOCS, PAGES, ROOT

LINK = re.compile(r"""(?:href|src)=(?:"([^"]*)"|'([^']*)'|([^\s>]+))""")
_FETCHED = re.compile(
    r"""<(?:script|img|iframe)[^>]*\ssrc=["']?(?:https?:)?//|<link[^>]*rel=["']?(?:stylesheet|preload)[^>]*href=["']?https?://"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built in strict mode."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder / "site")]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "NO_COLOR": "1", "AIRFLOW_HOME": str(folder)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    told = done.stdout + done.stderr
    assert done.returncode == 0, told[-4000:]
    assert "WARNING" not in told, told[-4000:]
    return folder / "site"


def html(site: Path) -> list[Path]:
    return sorted(site.rglob("*.html"))


def test_has_every_page(site: Path) -> None:
    expected = {page.relative_to(DOCS).with_suffix(".html") for page in DOCS.rglob("*.md")}
    assert {page.relative_to(site) for page in html(site)} == expected | {Path("404.html")}
    assert "site_pages" not in (site / "index.html").read_text()
    for page in html(site):
        assert "&lt;!-- " not in page.read_text(), f"{page.name} shows a comment"


def test_names_every_metric() -> None:
    names = re.findall(r"``(itwin\.[a-z_.<>]+)``", metrics.__doc__ or "")
    assert len(names) > 8
    assert [name for name in names if f"`{name}`" not in (DOCS / "large.md").read_text()] == []


def test_has_no_dead_link(site: Path) -> None:
    anchors = {page: set(re.findall(r"""\sid=["']?([^"'\s>]+)""", page.read_text())) for page in html(site)}
    dead = []
    for page in html(site):
        if page.name == "404.html":
            continue
        for groups in LINK.findall(page.read_text()):
            link = "".join(groups)
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or link.startswith(("/", "data:")):
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            target = target / "index.html" if target.is_dir() else target
            found = target.exists() and (
                not parts.fragment or target not in anchors or unquote(parts.fragment) in anchors[target]
            )
            # What scripts of the theme add is not there to be read.
            if not found and parts.fragment not in ("__search", "__drawer", "__toc", "__skip"):
                dead.append(f"{page.relative_to(site)}: {link}")
    assert not dead


def test_fetches_nothing(site: Path) -> None:
    for page in html(site):
        assert not _FETCHED.search(page.read_text()), page.name


def test_the_readme_and_its_like_lead_nowhere_that_is_not_there() -> None:
    for page in PAGES:
        if page.parent == ROOT:
            for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
                assert (ROOT / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("name", classes_of_errors())
def test_every_error_has_a_cure(name: str) -> None:
    text = (DOCS / "troubleshooting.md").read_text()
    assert re.search(rf"^\| `{name}` \| \w.+ \|$", text, re.MULTILINE)


def test_no_error_is_cured_that_is_not_there() -> None:
    text = (DOCS / "troubleshooting.md").read_text()
    assert set(re.findall(r"^\| `(ITwin\w*Error)` \|", text, re.MULTILINE)) == set(classes_of_errors())


def test_every_text_is_on_the_page(site: Path) -> None:
    page = re.sub(r"<[^>]+>", "", (site / "troubleshooting.html").read_text())
    texts = list(texts_of_errors())
    assert len(texts) > 40
    for module, _, text in texts:
        longest = max(re.split(r"\{.*?\}|[`'\"&<>*_]", text), key=len).strip()
        assert longest in page, f"{module}: {text}"


def test_the_picture_shows_what_the_code_does() -> None:
    drawn = rooms()
    assert len(edges()) > 20
    for start, end in edges():
        assert drawn[start][1] < drawn[end][1], f"{start} uses {end}, which is not further down"
    assert not [edge for edge in edges() if "emulator" in edge], "the emulator stands alone"


def test_the_picture_leaves_no_room_out() -> None:
    package = ROOT / "airflow_provider_itwin"
    there = {path.stem for path in package.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    # What Airflow is told about us, and small change that everybody uses.
    assert there - set(rooms()) <= {
        "__init__",
        "get_provider_info",
        "version_compat",
        "connection_form",
        "told",
        "metrics",
    }


def test_the_edges_are_on_the_page(site: Path) -> None:
    page = (site / "architecture.html").read_text()
    for start, end in edges():
        assert f'data-edge="{start} {end}"' in page
