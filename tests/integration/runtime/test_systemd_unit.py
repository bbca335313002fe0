"""The unit file as systemd itself reads it. It needs systemd's tools, not a running systemd."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from handrail.runtime import Job, service_spec

pytestmark = pytest.mark.integration

if shutil.which("systemd-analyze") is None and not os.environ.get("CI"):
    pytest.skip("systemd-analyze is not installed", allow_module_level=True)


@pytest.mark.parametrize("folder", ["apps", "100% my: apps"])
@pytest.mark.parametrize("hardening", ["basic", "strict"])
@pytest.mark.parametrize("job", [None, Job("0 0 13 * fri")], ids=["service", "job"])
def test_systemd_accepts_the_unit_without_a_word(tmp_path: Path, folder: str, hardening: str, job: Job | None) -> None:
    app_dir = tmp_path / folder / "shop"
    for path in ("current/.handrail/run-web", "jobs/.handrail/run-web", "jobs/.handrail/run-web.ended"):
        launcher = app_dir / path
        launcher.parent.mkdir(parents=True, exist_ok=True)
        launcher.write_text("#!/bin/sh\n")
        launcher.chmod(0o755)
    spec = service_spec(
        "systemd",
        app="shop",
        app_dir=str(app_dir),
        user=getpass.getuser(),
        is_root=True,
        facts={"home": str(tmp_path / folder)},
        stop_timeout=2.5,
        job=job,
        hardening=hardening,
        unit={
            "MemoryMax": "1G",
            "LimitNOFILE": 4096,
            "PrivateTmp": False,
            "IPAddressAllow": ["localhost", "10.0.0.0/8"],
        },
    )
    units = [tmp_path / Path(item["path"]).name for item in spec["files"]]
    for unit, item in zip(units, spec["files"], strict=True):
        unit.write_text(item["content"])

    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning"},
    )

    complaints = [line for line in done.stderr.splitlines() if "shop-web" in line]
    assert (done.returncode, complaints) == (0, [])


def test_systemd_reports_a_launcher_that_is_not_there(tmp_path: Path) -> None:
    spec = service_spec(
        "systemd",
        app="shop",
        app_dir=str(tmp_path / "nowhere"),
        user=getpass.getuser(),
        is_root=True,
        facts={},
        stop_timeout=2.5,
    )
    unit = tmp_path / "shop-web.service"
    unit.write_text(spec["files"][0]["content"])

    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )

    assert "nowhere/current/.handrail/run-web" in done.stderr
