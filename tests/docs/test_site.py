"""The site as a whole: built without a warning, complete, without external resources."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from scripts.site_diagram import DIAGRAMS, Diagram
from scripts.site_errors import MISSING, classes_of_errors, texts_of_errors
from scripts.site_faq import problems

from .pages import DOCS, PAGES, ROOT

LINK = re.compile(r"""(?:href|src)=(?:"([^"]*)"|'([^']*)'|([^\s>]+))""")
_FETCHED = re.compile(
    r"""<(?:script|img|iframe)[^>]*\ssrc=["']?(?:https?:)?//|<link[^>]*rel=["']?(?:stylesheet|preload)[^>]*href=["']?https?://"""
)


def html(site: Path) -> list[Path]:
    return sorted(site.rglob("*.html"))


def test_has_every_page(site: Path) -> None:
    expected = {page.relative_to(DOCS).with_suffix(".html") for page in DOCS.rglob("*.md")}
    assert {page.relative_to(site) for page in html(site)} == expected | {Path("404.html")}
    assert "site_pages" not in (site / "index.html").read_text()
    for page in html(site):
        assert "&lt;!-- " not in page.read_text(), f"{page.name} shows a comment"


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
            # Scripts of the theme add these anchors.
            if not found and parts.fragment not in ("__search", "__drawer", "__toc", "__skip"):
                dead.append(f"{page.relative_to(site)}: {link}")
    assert not dead


def test_has_no_external_resource(site: Path) -> None:
    for page in html(site):
        assert not _FETCHED.search(page.read_text()), page.name


def test_links_of_the_readme_and_other_root_pages_exist() -> None:
    for page in PAGES:
        if page.parent == ROOT:
            for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
                assert (ROOT / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("name", classes_of_errors())
def test_every_error_class_has_a_fix(name: str) -> None:
    text = (DOCS / "troubleshooting.md").read_text()
    assert re.search(rf"^\| `{name}` \| \w.+ \|$", text, re.MULTILINE)


def test_every_fix_names_an_existing_error_class() -> None:
    text = (DOCS / "troubleshooting.md").read_text()
    assert set(re.findall(r"^\| `(ITwin\w*Error)` \|", text, re.MULTILINE)) == set(classes_of_errors())


def test_every_error_text_is_on_the_page_with_example_values(site: Path) -> None:
    page = re.sub(r"<[^>]+>", "", (site / "troubleshooting.html").read_text())
    texts = list(texts_of_errors())
    assert len(texts) > 40
    for module, _, text in texts:
        assert MISSING not in text, f"{module}: {text}"
        longest = max(re.split(r"\{.*?\}|[`'\"&<>*_]", text), key=len).strip()
        assert longest in page, f"{module}: {text}"


def test_the_faq_has_every_symptom(site: Path) -> None:
    page = (site / "faq.html").read_text().casefold()
    assert len(problems()) > 40
    for problem in problems():
        words = max(re.split(r"[`'\"&<>*_]|\[|\]\(.*?\)", problem.fix), key=len).strip().rstrip(".")
        assert words.casefold() in page, problem.symptom


def test_every_page_names_the_version_and_the_repository(site: Path) -> None:
    from airflow_provider_itwin import __version__

    for page in html(site):
        text = page.read_text()
        assert f"Version {__version__}" in text, page.name
        assert 'title="Repository"' in text, page.name


@pytest.mark.parametrize("diagram", DIAGRAMS.values(), ids=DIAGRAMS)
def test_no_arrow_of_a_diagram_leads_up(diagram: Diagram) -> None:
    positions = diagram.positions()
    assert len(diagram.edges()) > 15
    for start, end in diagram.edges():
        assert positions[start][1] <= positions[end][1], f"{start} imports {end}, which is in a higher layer"


@pytest.mark.parametrize("diagram", DIAGRAMS.values(), ids=DIAGRAMS)
def test_a_diagram_contains_every_part(diagram: Diagram) -> None:
    parts = {path.stem for path in diagram.folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    # The entry point for Airflow, and modules that every part uses.
    assert parts - set(diagram.positions()) <= {
        "__init__",
        "get_provider_info",
        "sdk_compat",
        "types",
        "version_compat",
        "metrics",
    }


@pytest.mark.parametrize("diagram", DIAGRAMS.values(), ids=DIAGRAMS)
def test_the_arrows_are_on_the_page(diagram: Diagram, site: Path) -> None:
    page = (site / "architecture.html").read_text()
    for start, end in diagram.edges():
        assert f'data-edge="{start} {end}"' in page
