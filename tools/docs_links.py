# ruff: noqa: INP001
"""Check every link of the built site and of the README: pages, anchors, pictures; other hosts by the form of the
address only.

python tools/docs_links.py [build/docs]
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

ROOT: Final = Path(__file__).parents[1]
LOADED: Final = {("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src")}
"""What a browser fetches by itself; a stylesheet is told by its `rel`."""
LOADED_BY_LINK: Final = {"stylesheet", "icon", "preload", "preconnect", "manifest"}
HOST: Final = re.compile(
    r"(localhost|(\d{1,3}\.){3}\d{1,3}|([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,})", re.IGNORECASE
)
MARKDOWN_LINK: Final = re.compile(r"!?\[[^]]*\]\(([^)\s]+)\)")


@dataclass(slots=True)
class Page(HTMLParser):
    """Ids and links of one page."""

    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        HTMLParser.__init__(self)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag names and points at."""
        given = {name: value for name, value in attrs if value}
        self.ids |= {given[name] for name in ("id", "name") if name in given}
        for name in ("href", "src"):
            if name in given:
                self.links.append(given[name])
                by_link = tag == "link" and bool(set(given.get("rel", "").split()) & LOADED_BY_LINK)
                if (tag, name) in LOADED or by_link:
                    self.fetched.append(given[name])


def read_page(file: Path) -> Page:
    """A page with its ids and links."""
    page = Page()
    page.feed(file.read_text(encoding="utf-8"))
    return page


def broken_links(site: Path) -> Iterator[str]:
    """What is wrong with the links of the built pages, in words."""
    pages = {file: read_page(file) for file in sorted(site.rglob("*.html")) if file.name != "404.html"}
    for file, page in pages.items():
        name = file.relative_to(site)
        for link in page.fetched:
            if urlsplit(link).netloc:
                yield f"{name}: the page would fetch {link} from another host"
        for link in page.links:
            problem = external_problem(link) if urlsplit(link).scheme else internal_problem(file, link, pages)
            if problem:
                yield f"{name}: {link}: {problem}"


def external_problem(link: str) -> str | None:
    """What is wrong with the form of an address; nothing is asked."""
    parts = urlsplit(link)
    if parts.scheme == "data":
        return None
    if parts.scheme not in {"http", "https"} or not HOST.fullmatch(parts.hostname or ""):
        return "no address of a page"
    return "holds a blank" if re.search(r"\s", link) else None


def internal_problem(file: Path, link: str, pages: dict[Path, Page]) -> str | None:
    """What is wrong with a link inside the site."""
    parts = urlsplit(link)
    target = (file.parent / unquote(parts.path)).resolve() if parts.path else file.resolve()
    target = target / "index.html" if target.is_dir() else target
    if not target.is_file():
        return "no such file"
    known = pages.get(target)
    if parts.fragment and known is not None and unquote(parts.fragment) not in known.ids | {"__skip"}:
        return f"{target.name} has no anchor {parts.fragment!r}"
    return None


def broken_in_markdown(file: Path, site: Path) -> Iterator[str]:
    """The same for a Markdown file beside the site, such as the README; anchors of docs/ are looked up in the built
    pages.
    """
    for link in MARKDOWN_LINK.findall(file.read_text(encoding="utf-8")):
        parts = urlsplit(link)
        if parts.scheme:
            problem = external_problem(link)
        else:
            target = file.parent / unquote(parts.path)
            problem = None if target.exists() else "no such file"
            if parts.fragment and problem is None and target.is_relative_to(ROOT / "docs"):
                built = site / target.relative_to(ROOT / "docs").with_suffix(".html")
                problem = None if parts.fragment in read_page(built).ids else "no such anchor"
        if problem:
            yield f"{file.name}: {link}: {problem}"


def main() -> int:
    """Name every broken link; exit 1 where there is any."""
    site = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build" / "docs").resolve()
    found = [*broken_links(site), *broken_in_markdown(ROOT / "README.md", site)]
    print("\n".join(found) or f"every link of {site} leads somewhere")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
