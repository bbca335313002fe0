from __future__ import annotations

import subprocess
import sys

import pytest

from handrail.testing.container import ContainerHost
from handrail.testing.sshd import SshdHost

pytestmark = [pytest.mark.integration, pytest.mark.slow]

PACKAGE = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "shop"
version = "1.0"
requires-python = ">=3.10"
dependencies = [
    "datasette==0.65.5", "flask==3.1.2", "requests==2.32.5", "rich==14.2.0", "tqdm==4.67.1", "attrs==25.4.0",
]

[tool.hatch.build.targets.wheel]
packages = ["shop"]
"""


def test_after_a_one_line_change_only_the_projects_own_wheel_travels(new_project, sshd_host: SshdHost) -> None:
    project = new_project(sshd_host, service={"command": "python -m shop", "health_timeout": 20})
    pyproject = project.folder / "pyproject.toml"
    pyproject.write_text(pyproject.read_text() + PACKAGE)
    project.write("shop/__init__.py", "")
    source = project.folder / "shop" / "__main__.py"
    project.release("one")
    (project.folder / "serve.py").rename(source)
    source.write_text("import datasette\n" + source.read_text())
    subprocess.run([sys.executable, "-m", "uv", "lock", "--quiet"], cwd=project.folder, check=True)
    assert (project.folder / "uv.lock").read_text().count("[[package]]") > 40, "40 dependencies beside the project"
    project.commit("a package")
    first = project.deploy()
    assert project.served() == ["one"]
    assert first["hosts"][0]["bytes_sent"] > 5_000_000, "wheels and uv travel the first time"

    source.write_text(source.read_text().replace("'one'", "'two'"))
    project.commit("one line")
    with sshd_host.counting_channels() as opened:
        second = project.deploy()
        assert opened() <= 4
    assert project.served() == ["two"]
    # Its own wheel is a few kilobytes here, so that it need not be taken off.
    assert second["hosts"][0]["bytes_sent"] <= 40 * 1024, "the agent is there already"


def test_a_deploy_opens_at_most_four_channels_a_host(
    new_project, container_host: ContainerHost, second_container_host: ContainerHost
) -> None:
    project = new_project(container_host, second_container_host, service={"migrate": "true"})
    project.release("one")
    with container_host.counting_channels() as on_first, second_container_host.counting_channels() as on_second:
        document = project.deploy()
        assert 1 <= on_first() <= 4
        assert 1 <= on_second() <= 4
    assert [host["channels"] for host in document["hosts"]] == [on_first(), on_second()]


def test_a_host_gets_only_the_files_that_it_lacks(new_project, sshd_host: SshdHost) -> None:
    project = new_project(sshd_host)
    for number in range(200):
        project.write(f"static/{number}.txt", f"{number} " * 5000)
    project.release("one")
    everything = project.deploy()["hosts"][0]["bytes_sent"]
    project.release("two")
    change = project.deploy()["hosts"][0]["bytes_sent"]
    assert change < 64 * 1024 < everything
