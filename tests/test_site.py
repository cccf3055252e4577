"""The documentation as a site: it builds without a broken link, asks no other host, and reads like its files."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from markdown_it import MarkdownIt

pytest.importorskip(
    "properdocs", reason="the extra `docs` is not installed: pip install -e '.[docs]' -c constraints.txt"
)

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        *(ROOT / "docs").rglob("*.md"),
        *ROOT.glob("*.md"),
        *(ROOT / f"{room}.md" for room in ("experiments/LOG", "findings/README", "benchmarks/README")),
    ]
)
LONG = 1_200
"""Words beyond which a page of docs/ has a table of contents."""


def build(folder: Path, out: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "properdocs", "build", "-d", str(out)]
    return subprocess.run(words, capture_output=True, text=True, cwd=folder)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    done = build(ROOT, out)
    assert done.returncode == 0, done.stderr
    return out


class Tags(HTMLParser):
    """The tags of a page, and how often each occurs within its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.all: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.all.append((tag, dict(attrs)))

    def count(self) -> dict[str, int]:
        names = [name for name, _ in self.all]
        return {name: names.count(name) for name in ("h1", "h2", "h3", "li", "table", "tr", "pre", "img", "blockquote")}


def built(site: Path, page: Path) -> Path:
    path = page.relative_to(ROOT)
    return site / (path.with_name("index.html") if path.name == "README.md" else path.with_suffix(".html"))


def content(site: Path, page: Path) -> str:
    """The part of a built page that was made from its Markdown."""
    _, found, after = built(site, page).read_text(encoding="utf-8").partition('<div class="col-md-9" role="main">')
    assert found
    return after.partition("<footer")[0]


def headings(page: Path) -> list[tuple[int, str]]:
    """Level and Markdown of each heading, without those in blocks of code."""
    tokens = MarkdownIt().parse(page.read_text(encoding="utf-8"))
    return [
        (int(token.tag[1]), inline.content)
        for token, inline in itertools.pairwise(tokens)
        if token.type == "heading_open"
    ]


def anchor(heading: str) -> str:
    """The anchor that viewers of repositories give a heading: of its letters, digits, hyphens and spaces."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


def links(page: Path) -> list[str]:
    tokens = MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))
    inner = [child for token in tokens for child in token.children or []]
    found = [str(child.attrs.get("href") or child.attrs.get("src") or "") for child in inner]
    return [link for link in found if link and not urlsplit(link).scheme]


def test_every_page_is_built(site: Path) -> None:
    assert len(PAGES) > 20
    assert not [page for page in PAGES if not built(site, page).is_file()]
    assert not list(site.rglob("*.py"))


@pytest.mark.parametrize("link", ["docs/page.md#gone", "docs/gone.md", "/docs/page.md"])
def test_a_broken_link_stops_the_build(link: str, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    for name in ("properdocs.yml", "docs/site_files.py", "docs/site.css"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    settings = yaml.safe_load((tmp_path / "properdocs.yml").read_text())
    (tmp_path / "properdocs.yml").write_text(yaml.safe_dump({**settings, "nav": ["README.md", "docs/page.md"]}))
    (tmp_path / "docs" / "page.md").write_text("# Page\n\n## Here\n")
    (tmp_path / "README.md").write_text("# Start\n\n[good](docs/page.md#here)\n")
    good = build(tmp_path, tmp_path / "out")
    assert good.returncode == 0, good.stderr
    (tmp_path / "README.md").write_text(f"# Start\n\n[bad]({link})\n")
    bad = build(tmp_path, tmp_path / "out")
    assert bad.returncode != 0
    assert link in bad.stderr


def test_pages_ask_no_other_host(site: Path) -> None:
    pages, styles = list(site.rglob("*.html")), list(site.rglob("*.css"))
    assert len(pages) > len(PAGES)  # those of the theme too
    assert styles
    for path in pages:
        for name, attributes in Tags(path.read_text(encoding="utf-8")).all:
            if name in ("script", "link", "img", "iframe", "source", "video", "object", "embed"):
                for key in ("src", "href", "srcset", "data"):
                    assert not re.match(r"(\w+:)?//", attributes.get(key) or ""), (path, name, attributes)
    for path in styles:
        assert not re.search(r"(url\(|@import)\s*['\"]?\s*(https?:)?//", path.read_text(encoding="utf-8")), path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_reads_alike_on_the_site_and_in_the_repository(page: Path, site: Path) -> None:
    """CommonMark with tables, by markdown-it, is what viewers of repositories show."""
    shown = MarkdownIt("commonmark").enable("table").render(page.read_text(encoding="utf-8"))
    assert Tags(content(site, page)).count() == Tags(shown).count()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_work_in_the_repository_too(page: Path) -> None:
    for link in links(page):
        path, fragment = urlsplit(link).path, urlsplit(link).fragment
        target = (page.parent / unquote(path)).resolve() if path else page
        assert target.is_file(), link
        if fragment:
            assert fragment in {anchor(heading) for _, heading in headings(target)}, link


def test_a_long_page_has_a_table_of_contents() -> None:
    long = [page for page in (ROOT / "docs").rglob("*.md") if len(page.read_text(encoding="utf-8").split()) > LONG]
    assert long
    for page in long:
        text = page.read_text(encoding="utf-8")
        sections = [heading for level, heading in headings(page) if level == 2]
        assert len(sections) > 1, f"{page.name}: a page of more than {LONG} words has sections"
        _, found, after = text.partition("**On this page:**")
        assert found, f"{page.name}: more than {LONG} words, and no line '**On this page:**'"
        listed = re.findall(r"\]\(#([^)]+)\)", after.partition("\n\n")[0])
        assert listed == [anchor(heading) for heading in sections], page.name
        assert text.index("**On this page:**") < text.index(f"\n## {sections[0]}"), page.name


def test_a_phone_shows_every_page_without_scrolling_sideways_or_errors(site: Path, chromium: Any) -> None:
    tab = chromium.new_page(viewport={"width": 390, "height": 844})
    asked: list[str] = []
    errors: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("pageerror", lambda error: errors.append(str(error)))
    for page in PAGES:
        tab.goto(built(site, page).as_uri())
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390, page
        assert all("search/worker.js" in error for error in errors), (page, errors)  # it needs a server
    assert asked
    assert not [url for url in asked if not url.startswith(("file:", "data:"))]
