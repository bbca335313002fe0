"""A first release that is not well: nothing served before, so nothing may be left that serves it some day."""

from __future__ import annotations

import pytest

from handrail.testing.host import Host

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def test_nothing_of_it_starts_with_the_host(new_project, host: Host) -> None:
    project = new_project(host, **{"processes.worker": {"command": "python3 -c 'import time; time.sleep(600)'"}})
    project.release("one")
    host.run("echo one > ~/sick")
    try:
        project.deploy(expect=5)
    finally:
        host.run("rm -f ~/sick")
    places = "/etc/systemd/system /etc/systemd/system/multi-user.target.wants ~/.supervisor/include"
    assert host.run(f"ls {places} 2>/dev/null | grep {project.app}-", check=False).stdout == ""
    assert host.get(project.port).status == 0

    project.deploy()
    assert project.served() == ["one"]
