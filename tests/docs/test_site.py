"""The site as it is built: no warning, no broken link, and nothing that a browser would fetch from elsewhere."""

from __future__ import annotations

import html.parser
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.conftest import ROOT
from tests.docs.blocks import pages

# What a browser fetches by itself.
FETCHED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "video": "src"}


@dataclass
class Page(html.parser.HTMLParser):
    """The anchors of a page, where it leads, and what it fetches."""

    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in FETCHED and FETCHED[tag] in given and given.get("rel") not in ("canonical", "next", "prev"):
            self.fetched.append(given[FETCHED[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Page]:
    """The pages of a fresh build, by their files."""
    folder = tmp_path_factory.mktemp("docs")
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    (folder / "mkdocs.yml").write_text(settings.replace("build/site", "site"), encoding="utf-8")
    shutil.copytree(ROOT / "docs", folder / "docs")  # the benchmarks' tables among them, which are links here
    program = Path(sys.executable).with_name("zensical")
    done = subprocess.run([program, "build", "--strict", "--clean"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[Path, Page] = {}
    for path in (folder / "site").rglob("*.html"):
        page = Page()
        page.feed(path.read_text(encoding="utf-8"))
        found[path] = page
    return found


def test_every_page_is_there(site: dict[Path, Page]) -> None:
    [root] = {path.parent for path in site if path.name == "index.html"}
    written = [
        path.relative_to(ROOT / "docs").with_suffix(".html") for path in pages() if ROOT / "docs" in path.parents
    ]
    assert {path.relative_to(root) for path in site} >= set(written)


def test_every_link_leads_somewhere(site: dict[Path, Page]) -> None:
    broken = []
    for path, page in site.items():
        for link in [*page.links, *page.fetched]:
            parts = urlsplit(link)
            if parts.scheme or path.name == "404.html":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            wanted = unquote(parts.fragment)
            anchors = site[target].anchors if target in site and wanted else {wanted}
            if not target.is_file() or wanted not in anchors:
                broken.append(f"{path.name}: {link}")
    assert broken == []


def test_nothing_is_fetched_from_elsewhere(site: dict[Path, Page]) -> None:
    for path, page in site.items():
        assert [one for one in page.fetched if urlsplit(one).scheme or one.startswith("//")] == [], path
    [root] = {path.parent for path in site if path.name == "index.html"}
    for sheet in root.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//", sheet.read_text(encoding="utf-8")), sheet


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=lambda path: path.name)
def test_links_beside_the_site_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not urlsplit(link).scheme and not (ROOT / link).exists()] == []
