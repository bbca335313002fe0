"""The site: README, docs/ and the changelog as pages, in site/; what they point at must be there.

The pages are staged first. README.md becomes the front page, and a link to a file of the repository that is no page
becomes the file's name: the site stands alone. Zensical builds it, strictly; after that every link of the built pages
is followed.
"""

from __future__ import annotations

import posixpath
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[2]
STAGE = ROOT / ".handrail" / "site"
OUT = ROOT / "site"
# Files outside of docs/ that are pages too.
EXTRA = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")


def build(out: Path = OUT) -> list[str]:
    """Build the site into ``out``; return what is wrong with it, one line each."""
    said = _zensical("build", "--clean", "--strict")
    built = STAGE / "site"
    if said.returncode or not (built / "index.html").is_file():
        text = re.sub(r"\x1b\[[0-9;]*m", "", f"{said.stdout}\n{said.stderr}")
        return [line.rstrip() for line in text.split("Traceback", 1)[0].splitlines() if line.strip()]
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(built, out)
    return dead_links(out)


def serve() -> None:
    """Build and serve the pages on a local port until Ctrl-C; a change to a page needs a new start."""
    stage()
    subprocess.run([*_command(), "serve", "--open"], cwd=STAGE, check=False)


def stage() -> None:
    """Lay out what Zensical reads."""
    shutil.rmtree(STAGE, ignore_errors=True)
    pages = STAGE / "docs"
    shutil.copytree(ROOT / "docs", pages)
    shutil.copy(ROOT / "zensical.toml", STAGE)
    for name, page in EXTRA.items():
        (pages / page).write_text((ROOT / name).read_text("utf-8"), encoding="utf-8")
    origin = {pages / page: ROOT / name for name, page in EXTRA.items()}
    for path in sorted(pages.rglob("*.md")):
        source = origin.get(path, ROOT / "docs" / path.relative_to(pages))
        path.write_text(_relinked(path.read_text("utf-8"), source, path), encoding="utf-8")


def _relinked(text: str, source: Path, page: Path) -> str:
    """Return the text of ``source`` with links that fit its place as ``page``."""

    def replace(match: re.Match[str]) -> str:
        picture, words, link = match.groups()
        name, hash_sign, anchor = link.partition("#")
        if urlsplit(link).scheme:
            return match[0]
        target = (source.parent / name).resolve() if name else source
        staged = _staged(target)
        if staged is None:
            shown = target.relative_to(ROOT) if target.is_relative_to(ROOT) else name
            return f"{words} (`{shown}`)"
        # GitHub keeps each hyphen of a heading, Markdown's own way makes one of several.
        anchor = re.sub("-+", "-", anchor)
        new = posixpath.relpath(staged.as_posix(), page.parent.as_posix())
        return f"{picture}[{words}]({new}{hash_sign}{anchor})"

    return _LINK.sub(replace, text)


def _staged(target: Path) -> Path | None:
    """Return where a file of the repository stands among the pages; None: it is none of them."""
    if target.is_relative_to(ROOT / "docs"):
        return STAGE / "docs" / target.relative_to(ROOT / "docs")
    name = target.relative_to(ROOT).as_posix() if target.is_relative_to(ROOT) else ""
    return STAGE / "docs" / EXTRA[name] if name in EXTRA else None


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors = {"", "__top"}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if identity := values.get("id") or values.get("name"):
            self.anchors.add(identity)
        for key in ("href", "src"):
            if value := values.get(key):
                self.links.append(value)


def dead_links(site: Path) -> list[str]:
    """Return each link of the built pages that leads nowhere, as ``page: link``."""
    pages = {path: _Page(path.read_text("utf-8")) for path in site.rglob("*.html")}
    dead = []
    for path, page in pages.items():
        if path.name == "404.html":
            continue  # its links begin at the server's root
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or link.startswith("data:"):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target = target / "index.html"
            if not target.exists() or (target in pages and unquote(parts.fragment) not in pages[target].anchors):
                dead.append(f"{path.relative_to(site)}: {link}")
    return sorted(set(dead))


def _zensical(*words: str) -> subprocess.CompletedProcess[str]:
    stage()
    return subprocess.run([*_command(), *words], cwd=STAGE, check=False, capture_output=True, text=True)


def _command() -> list[str]:
    return [sys.executable, "-m", "zensical"]
