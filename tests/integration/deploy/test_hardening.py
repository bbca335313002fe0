"""A hardened service serves and cannot write outside of its folder; a host that cannot harden it says what it lacks."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from handrail.testing.container import ContainerHost
from handrail.testing.tiny import SERVICE, TinyProject

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.security]

ROOT = Path(__file__).parents[3]
# What a service of the deploying user may touch: its own folder, its home, and what everybody may write to.
PROBE = """\
import subprocess

def can_write(path):
    try:
        pathlib.Path(path, "probe-" + os.environ["HANDRAIL_APP"]).write_text("x")
    except OSError:
        return False
    return True

home = pathlib.Path.home()
shared = pathlib.Path.cwd().parents[1] / "shared"
FACTS.update(
    wrote={name: can_write(path) for name, path in
           {"shared": shared, "home": home, "tmp": "/tmp", "var-tmp": "/var/tmp", "etc": "/etc/test-open"}.items()},
    keys=(home / ".ssh" / "authorized_keys").exists(),
    root=subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0,
    devices=os.path.exists("/dev/fuse") or os.path.exists("/dev/full"),
)
"""


@pytest.fixture
def project(new_project, container_host: ContainerHost) -> TinyProject:
    # A folder below /etc that its user could write to, were it not for the unit.
    container_host.run_as_root("install -d -m 0777 /etc/test-open")
    made: TinyProject = new_project(container_host)
    return made


def probed(project: TinyProject, host: ContainerHost, level: str) -> dict[str, Any]:
    """Deploy with a level of hardening; return what the service could do, and systemd's score for its unit."""
    project.configure(service={"hardening": level})
    project.write("serve.py", SERVICE.replace("\n\nclass Handler", f"\n{PROBE}\nclass Handler", 1))
    project.commit(level)
    project.deploy()
    found: dict[str, Any] = json.loads(host.get(project.port).text)
    told = host.run_as_root(f"systemd-analyze security --no-pager {project.app}-web.service")
    found["score"] = float(re.findall(r"Overall exposure level for \S+: ([0-9.]+)", told)[0])
    return found


def test_each_level_serves_and_takes_away_what_it_says(project: TinyProject, container_host: ContainerHost) -> None:
    off, basic, strict = (probed(project, container_host, level) for level in ("off", "basic", "strict"))
    assert all(off["wrote"].values())
    assert (off["keys"], off["root"]) == (True, True)
    assert basic["wrote"] == {"shared": True, "home": True, "tmp": True, "var-tmp": True, "etc": False}
    assert (basic["keys"], basic["root"]) == (True, False)
    assert strict["wrote"] == {"shared": True, "home": False, "tmp": True, "var-tmp": True, "etc": False}
    assert (strict["keys"], strict["root"]) == (False, False)
    assert container_host.run(f"ls /tmp /var/tmp | grep -c probe-{project.app}").stdout.strip() == "2", "of the others"
    page = (ROOT / "docs" / "how-a-deploy-works.md").read_text("utf-8")
    if container_host.run("systemctl --version").stdout.startswith("systemd 252 "):
        for level, found in (("off", off), ("basic", basic), ("strict", strict)):
            assert f"| `{level}` | {found['score']} |" in page

    # A systemd that may not mount leaves those directives out and says nothing; so does this one, told to.
    assert not project.status()["hosts"][0]["unconfined"]
    names = ["ProtectHome", "PrivateTmp", "PrivateDevices", "ProtectProc=default", "ProtectHostname", "ProtectSystem"]
    names += [f"ProtectKernel{what}" for what in ("Tunables", "Modules", "Logs")]
    names += ["ProtectControlGroups", "BindPaths=", "BindReadOnlyPaths=", "ReadWritePaths="]
    lines = "\n".join(name if "=" in name else f"{name}=no" for name in names)
    folder = f"/etc/systemd/system/{project.app}-web.service.d"
    container_host.run_as_root(f"mkdir {folder}; cat > {folder}/x.conf", stdin=f"[Service]\n{lines}\n")
    container_host.run_as_root(f"systemctl daemon-reload; systemctl restart {project.app}-web")
    shown = project.inv("status", "--env", "test")
    assert "the service runs unconfined" in shown.stdout + shown.stderr, shown


def test_what_a_host_cannot_set_up_is_named(project: TinyProject) -> None:
    project.release("one")
    project.deploy()
    project.configure(service={"unit": {"ReadWritePaths": "/not/there", "MemoryMax": "1G"}})
    project.release("two")
    error = project.deploy(expect=5)["error"]
    assert "systemd on this host cannot set up ReadWritePaths of the unit: " in error["message"]
    assert "/not/there: No such file or directory" in error["message"]
    assert project.served() == ["one"]
