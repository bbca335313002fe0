"""The README's first command, in a copy of this checkout with an environment of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """A copy of what git would commit here; the demo in it is down again afterwards."""
    folder = tmp_path / "c"
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    yield folder
    demo(folder, "--down")


def demo(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("COV_", "PYTEST_", "UV_P"))
    }
    return subprocess.run(
        ["./scripts/demo", *words],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=280,
        check=False,
    )


def test_the_demo_ends_well_though_another_program_has_its_port_and_takes_everything_down(checkout: Path) -> None:
    with closing(socket.socket()) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            other.bind(("127.0.0.1", 18080))
            other.listen()
        except OSError:
            pass  # somebody really has it, which is as good
        done = demo(checkout)
    assert done.returncode == 0, done.stdout
    assert "has port 18080" in done.stdout
    assert "failed and returned" in done.stdout
    assert "Done in" in done.stdout

    down = demo(checkout, "--down")
    assert down.returncode == 0, down.stdout
    assert not (checkout / ".handrail" / "demo").exists()
