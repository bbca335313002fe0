from __future__ import annotations

from pathlib import Path

import pytest

from handrail.testing.host import HostUnavailableError
from handrail.testing.image import Mirror, find_mirror

pytestmark = pytest.mark.unit

DEB822 = """\
# A comment
Types: deb
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian.gpg

Types: deb-src
URIs: http://sources.example/debian
Suites: trixie
Components: main
"""


def apt(folder: Path, **files: str) -> Path:
    (folder / "sources.list.d").mkdir()
    for name, text in files.items():
        path = folder / "sources.list" if name == "list" else folder / "sources.list.d" / f"system.{name}"
        path.write_text(text)
    return folder


def test_a_mirror_is_found_in_deb822_sources(tmp_path: Path) -> None:
    found = find_mirror(apt(tmp_path, sources=DEB822))
    assert found == Mirror("http://mirror.example/debian", "bookworm", "/usr/share/keyrings/debian.gpg")


@pytest.mark.parametrize(
    ("line", "mirror"),
    [
        ("deb http://m.example/debian bookworm main contrib", Mirror("http://m.example/debian", "bookworm")),
        (
            "deb [arch=amd64 signed-by=/k.gpg] https://m.example trixie main # here",
            Mirror("https://m.example", "trixie", "/k.gpg"),
        ),
        ("deb [trusted=yes] file:/srv/debian trixie main", Mirror("file:/srv/debian", "trixie", "", True)),
    ],
)
def test_a_mirror_is_found_in_one_line_sources(tmp_path: Path, line: str, mirror: Mirror) -> None:
    assert find_mirror(apt(tmp_path, list=f"# deb http://old.example stretch main\n{line}\n")) == mirror


def test_the_preferred_suite_wins_over_the_first_one(tmp_path: Path) -> None:
    lines = "deb http://a.example trixie main\ndeb http://b.example bookworm main\n"
    assert find_mirror(apt(tmp_path, list=lines)).uri == "http://b.example"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "deb http://m.example/other stable-thing main",
        "deb http://m.example/debian bookworm contrib",
        "deb cdrom:[Debian]/ bookworm main",
        "deb-src http://m.example/debian bookworm main",
    ],
)
def test_sources_without_a_usable_mirror_are_reported(tmp_path: Path, line: str) -> None:
    with pytest.raises(HostUnavailableError, match="no Debian mirror"):
        find_mirror(apt(tmp_path, list=line + "\n"))
