"""What the example packs when it is built where the demo builds it."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from handrail.build.tools import find_uv

pytestmark = [pytest.mark.integration, pytest.mark.security]

EXAMPLE = Path(__file__).parents[3] / "examples" / "webapp"


def test_the_examples_sdist_takes_neither_keys_nor_earlier_builds_along(tmp_path: Path) -> None:
    project = tmp_path / ".handrail" / "demo" / "webapp"
    shutil.copytree(EXAMPLE, project, ignore=shutil.ignore_patterns(".venv", ".handrail", "dist"))
    (project / ".git").mkdir()
    key = project / ".handrail" / "sandbox" / "client_key"
    key.parent.mkdir(parents=True)
    key.write_text("private\n")

    subprocess.run([find_uv(), "build", "--quiet", "--sdist", "--out-dir", tmp_path / "out", project], check=True)

    (sdist,) = (tmp_path / "out").glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
    assert "src/webapp/wsgi.py" in names
    assert not [name for name in names if name.startswith(".handrail")]
