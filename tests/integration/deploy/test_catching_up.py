"""Hosts that were left out, over real sshd: remembered, refused while away, brought along, and caught up alone."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from handrail.testing.fixtures import report_unavailable
from handrail.testing.fleet import LoopbackFleet, LoopbackHost
from handrail.testing.host import HostUnavailableError, wait_until
from handrail.testing.project import DeployProject, finish

pytestmark = pytest.mark.integration

AWAY = "host-003"
SECRET = "an-old-password"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[LoopbackHost]]:
    try:
        with LoopbackFleet(tmp_path_factory.mktemp("fleet"), 3) as running:
            yield running.hosts
    except HostUnavailableError as error:
        report_unavailable(str(error))


@pytest.fixture
def project(fleet: list[LoopbackHost], tmp_path: Path, request: pytest.FixtureRequest) -> DeployProject:
    made = DeployProject(tmp_path / "project", f"t{zlib.crc32(request.node.nodeid.encode())}", fleet, {})
    release(made, "one")
    made.deploy()
    return made


def release(project: DeployProject, text: str) -> None:
    project.write("page.txt", text)
    project.write("data.bin", text * 200_000)
    project.commit(text)


def switch_off(project: DeployProject, host: LoopbackHost) -> None:
    config = project.folder / "client" / "ssh_config"
    config.write_text(config.read_text().replace(f"HostName {host.address}\n", "HostName 127.0.0.250\n"))


def switch_on(project: DeployProject, host: LoopbackHost) -> None:
    config = project.folder / "client" / "ssh_config"
    config.write_text(config.read_text().replace("HostName 127.0.0.250\n", f"HostName {host.address}\n"))


def served(project: DeployProject) -> list[str]:
    return [Path(h.home, "apps", project.app, "current", "page.txt").read_text() for h in project.hosts]


def history(project: DeployProject, host: LoopbackHost) -> list[dict[str, Any]]:
    lines = Path(host.home, "apps", project.app, "history.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_a_host_that_was_left_out_is_named_while_it_is_away_and_comes_along_with_the_next_deploy(
    project: DeployProject, fleet: list[LoopbackHost]
) -> None:
    first = project.status()["hosts"][0]["release"]
    release(project, "two")
    switch_off(project, fleet[2])
    second = project.deploy("--skip-unreachable")
    assert second["behind"][AWAY]["serves"] == first

    release(project, "three")
    refused = project.inv("deploy", "--env", "test", "--yes", "--json")
    assert refused.returncode == 3, refused
    message = refused.document["error"]["message"]
    assert message.startswith(f"{AWAY} was left out of {second['release']} on ")
    assert f"should serve {second['release']} (it served {first} when it was last reached)" in message
    assert "--skip-unreachable" in refused.stderr
    status = project.status()
    assert status["left_out"][AWAY]["away"]
    assert served(project) == ["two", "two", "one"]

    chosen = project.inv("deploy", "--env", "test", "--yes", "--json", "--hosts", "host-001")
    assert chosen.returncode == 0, chosen
    assert f"{AWAY} was left out of {second['release']}" in chosen.stderr
    assert "it is not among --hosts, and stays behind" in chosen.stderr

    switch_on(project, fleet[2])
    plan = project.inv("deploy", "--env", "test", "--plan", "--wait", "5", "--json")
    assert plan.document["hosts"][2]["behind"]["missed"] == second["release"], plan
    assert "To do it: inv deploy --env test --wait 5\n" in plan.stderr
    release(project, "four")
    third = project.deploy()
    assert served(project) == ["four"] * 3
    assert third["caught_up"][AWAY]["missed"] == second["release"]
    assert third["previous"] == chosen.document["release"]
    after = project.status()
    assert (after["state"], after["behind"]) == ("ok", {})


def test_catch_up_brings_what_the_others_serve_from_one_of_them_without_git_and_without_a_change_to_them(
    project: DeployProject, fleet: list[LoopbackHost]
) -> None:
    project.write("env/test.env", "GREETING=hello\n")
    project.write("env/test.secrets.env", f"TOKEN={SECRET}\n")
    release(project, "two")
    switch_off(project, fleet[2])
    second = project.deploy("--skip-unreachable")
    away = project.inv("deploy", "--env", "test", "--yes", "--json", "--catch-up", "--skip-unreachable")
    assert (away.returncode, away.document["result"], list(away.document["behind"])) == (0, "nothing", [AWAY]), away
    assert f"no chosen host that could be asked is behind: test serves {second['release']}" in away.stderr
    assert f"{AWAY} was left out of {second['release']}" in away.stderr
    planned = project.inv("deploy", "--env", "test", "--catch-up", "--plan", "--json", "--skip-unreachable")
    assert (planned.document["catch_up"], list(planned.document["behind"])) == ({}, [AWAY]), planned
    assert "no chosen host that could be asked is behind" in planned.stderr
    assert "To do it: inv deploy --env test --catch-up --skip-unreachable\n" in planned.stderr
    switch_on(project, fleet[2])
    # Neither this checkout nor today's settings are what the others serve.
    project.write("env/test.env", "GREETING=bye\n")
    project.write("env/test.secrets.env", "TOKEN=a-new-password\n")
    release(project, "three")
    before = [history(project, host) for host in fleet[:2]]

    planned = project.inv("deploy", "--env", "test", "--catch-up", "--plan", "--json")
    assert list(planned.document["catch_up"]) == [AWAY], planned
    assert served(project) == ["two", "two", "one"]

    done = project.inv("deploy", "--env", "test", "--catch-up", "--yes", "--json")

    assert done.returncode == 0, done
    assert SECRET not in done.stdout + done.stderr
    assert [host["host"] for host in done.document["hosts"]] == [AWAY]
    assert (done.document["release"], done.document["bundle"]) == (second["release"], second["bundle"])
    assert served(project) == ["two"] * 3
    names = [Path(host.home, "apps", project.app, "current", ".handrail") for host in fleet]
    for name in ("env", "manifest.json", "variables.json"):
        assert len({(folder / name).read_bytes() for folder in names}) == 1, name
    assert history(project, fleet[2])[-1]["release"] == second["release"]
    for host, lines in zip(fleet, before, strict=False):
        (event,) = history(project, host)[len(lines) :]
        assert (event["event"], event["hosts"]) == ("catch-up", [AWAY])
    status = project.status()
    assert (status["state"], status["behind"]) == ("ok", {})
    assert status["events"][0]["what"] == f"{AWAY} to {second['release']}"
    listed = project.inv("releases", "--env", "test", "--json").document
    assert [row["release"] for row in listed["releases"]] == [second["release"], second["previous"]]
    assert project.deploy("--catch-up")["result"] == "nothing"


def test_a_host_that_was_away_while_the_fleet_rolled_back_is_behind_and_catches_up_with_what_it_kept(
    project: DeployProject, fleet: list[LoopbackHost]
) -> None:
    first = project.status()["hosts"][0]["release"]
    release(project, "two")
    second = project.deploy()["release"]
    switch_off(project, fleet[2])
    project.rollback("--skip-unreachable")
    switch_on(project, fleet[2])
    assert served(project) == ["one", "one", "two"]
    status = project.status()
    assert (status["state"], status["serves"]) == ("mixed", first)
    assert list(status["behind"]) == [AWAY]
    assert f"was left out of the rollback to {first}" in status["behind"][AWAY]
    assert status["left_out"][AWAY]["serves"] == second

    done = project.inv("deploy", "--env", "test", "--catch-up", "--yes", "--json")

    assert done.returncode == 0, done
    assert served(project) == ["one"] * 3
    assert done.document["hosts"][0]["bytes_sent"] < 100_000, "nothing but the agent and its requests travelled"
    assert project.status()["state"] == "ok"


def test_an_abort_ends_all_that_it_reaches_or_nothing(project: DeployProject, fleet: list[LoopbackHost]) -> None:
    def unfinished() -> list[bool]:
        return [Path(host.home, "apps", project.app, "tx").exists() for host in fleet]

    project.configure(test={"lease": 4})
    mark = project.pause_at("before_activate")
    release(project, "two")
    dead = project.start("deploy", "--env", "test", "--yes")
    wait_until(mark.exists, "the deploy to prepare all hosts", 60)
    dead.kill()
    dead.communicate()
    mark.with_name(f"{mark.name}.go").touch()
    mark = project.pause_at("after_activate")
    release(project, "three")
    living = project.start("deploy", "--env", "test", "--yes", "--hosts", "host-002")
    wait_until(mark.exists, "the deploy to one of them to activate it", 60)
    abort = ("deploy", "--env", "test", "--abort", "--json")
    refused = project.inv(*abort)
    assert (refused.returncode, "host-002: locked by" in refused.stderr) == (7, True), refused
    assert unfinished() == [True] * 3
    mark.with_name(f"{mark.name}.go").touch()
    assert finish(living).returncode == 0

    switch_off(project, fleet[2])
    assert project.inv(*abort).returncode == 3
    assert unfinished() == [True, False, True]
    done = project.inv(*abort, "--skip-unreachable")
    assert (done.returncode, unfinished()) == (0, [False, False, True]), done
    assert done.document["hosts"][AWAY].startswith("left out: ")
    assert served(project) == ["one", "three", "one"]
