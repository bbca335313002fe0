from __future__ import annotations

import configparser
import json
from typing import Any

import pytest

from handrail.errors import ConfigError, PreflightError
from handrail.runtime import service_spec

pytestmark = pytest.mark.unit

SUPERVISOR = {
    "supervisor": {
        "ctl": "/usr/bin/supervisorctl",
        "conf": "/etc/supervisor/supervisord.conf",
        "include": "/etc/supervisor/conf.d",
    }
}


def spec(manager: str = "systemd", **changes: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "app": "shop",
        "app_dir": "/home/deploy/apps/shop",
        "user": "deploy",
        "is_root": False,
        "facts": SUPERVISOR,
        "stop_timeout": 15.0,
    }
    return service_spec(manager, **{**arguments, **changes})


def content(**changes: Any) -> list[str]:
    return str(spec(**changes)["files"][0]["content"]).splitlines()


@pytest.mark.parametrize("manager", ["systemd", "supervisor"])
def test_a_service_description_travels_as_json_and_has_every_part(manager: str) -> None:
    described = spec(manager)

    assert json.loads(json.dumps(described)) == described
    parts = "check files forget logs logs_follow manager name pid reload restart retire start stop"
    assert set(described) == {*parts.split(), *(["ended", "needs", "confined"] if manager == "systemd" else [])}
    assert described["name"] == "shop-web"


@pytest.mark.parametrize("manager", ["systemd", "supervisor"])
def test_no_command_goes_through_a_shell(manager: str) -> None:
    described = spec(manager)
    lists = ("reload", "start", "restart", "stop", "check")
    commands = [argv for part in lists for argv in described[part]]
    commands += [described["pid"], described["logs"], described["logs_follow"]]

    assert all(isinstance(word, str) for argv in commands for word in argv)
    assert not any(argv[0] in ("sh", "bash") for argv in commands)
    assert "{lines}" in " ".join(described["logs"])
    assert "{lines}" in " ".join(described["logs_follow"])


def test_systemd_starts_the_launcher_behind_current() -> None:
    assert 'ExecStart="/home/deploy/apps/shop/current/.handrail/run-web"' in content()


def test_systemd_never_refuses_the_restart_that_brings_the_old_release_back() -> None:
    assert "StartLimitIntervalSec=0" in content()


def test_systemd_is_asked_through_sudo_without_a_password_prompt() -> None:
    described = spec()

    assert described["restart"] == [["sudo", "-n", "systemctl", "restart", "shop-web.service"]]
    assert described["files"][0]["root"] is True
    assert described["pid"][0] == "systemctl"


def test_root_asks_systemd_itself() -> None:
    described = spec(is_root=True, user="root")

    assert described["restart"] == [["systemctl", "restart", "shop-web.service"]]
    assert described["files"][0]["root"] is False


def test_a_new_unit_is_read_and_enabled_for_the_next_boot() -> None:
    assert [argv[2:] for argv in spec()["reload"]] == [
        ["systemctl", "daemon-reload"],
        ["systemctl", "--quiet", "enable", "shop-web.service"],
    ]


@pytest.mark.parametrize(("seconds", "line"), [(15.0, "15000ms"), (0.5, "500ms"), (0.0, "1ms")])
def test_systemd_waits_as_long_as_declared_before_it_kills(seconds: float, line: str) -> None:
    assert f"TimeoutStopSec={line}" in content(stop_timeout=seconds)


@pytest.mark.parametrize(("seconds", "whole"), [(15.0, 15), (0.5, 1), (2.1, 3), (0.0, 1)])
def test_supervisor_waits_in_whole_seconds_and_never_less_than_declared(seconds: float, whole: int) -> None:
    assert f"stopwaitsecs={whole}" in content(manager="supervisor", stop_timeout=seconds)


def test_supervisor_updates_only_the_programs_own_group() -> None:
    ctl = ["sudo", "-n", "/usr/bin/supervisorctl", "-c", "/etc/supervisor/supervisord.conf"]

    assert spec("supervisor")["reload"] == [[*ctl, "reread"], [*ctl, "update", "shop-web"]]


def test_a_users_own_supervisor_needs_no_root() -> None:
    own = {"ctl": "/home/me/ctl", "conf": "/home/me/s.conf", "include": "/home/me/include"}
    described = spec("supervisor", facts={"supervisor": own})

    assert described["restart"] == [["/home/me/ctl", "-c", "/home/me/s.conf", "restart", "shop-web"]]
    assert described["files"][0]["path"] == "/home/me/include/shop-web.conf"
    assert described["files"][0]["root"] is False


def test_the_host_may_name_the_suffix_of_program_files() -> None:
    facts = {"supervisor": {**SUPERVISOR["supervisor"], "include": "/etc/supervisord.d", "suffix": ".ini"}}

    assert spec("supervisor", facts=facts)["files"][0]["path"] == "/etc/supervisord.d/shop-web.ini"


def test_supervisors_log_is_read_from_the_shared_folder() -> None:
    assert spec("supervisor")["logs"] == [
        "tail",
        "-n",
        "{lines}",
        "/home/deploy/apps/shop/shared/log/web.log",
    ]


def test_supervisor_sets_the_home_of_the_user_when_it_is_known() -> None:
    facts = {**SUPERVISOR, "home": "/home/some one"}

    with_home = content(manager="supervisor", facts=facts)
    assert 'environment=HOME="/home/some one",USER="deploy"' in with_home
    assert not any(line.startswith("environment=") for line in content(manager="supervisor"))


def test_spaces_and_percent_signs_in_paths_are_escaped_for_systemd() -> None:
    lines = content(app_dir="/srv/100% my apps/shop")

    assert 'ExecStart="/srv/100%% my apps/shop/current/.handrail/run-web"' in lines


def test_spaces_in_paths_are_quoted_for_supervisor_and_percent_signs_refused() -> None:
    lines = content(manager="supervisor", app_dir="/srv/my apps/shop")

    parsed = configparser.RawConfigParser()
    parsed.read_string("\n".join(lines))
    program = parsed["program:shop-web"]
    assert program["command"] == "'/srv/my apps/shop/current/.handrail/run-web'"
    assert program["stdout_logfile"] == "/srv/my apps/shop/shared/log/web.log"
    for changes in ({"app_dir": "/srv/100%/shop"}, {"facts": {**SUPERVISOR, "home": "/home/100%"}}):
        with pytest.raises(ConfigError, match="'%'"):
            content(manager="supervisor", **changes)


@pytest.mark.security
@pytest.mark.parametrize("manager", ["systemd", "supervisor"])
@pytest.mark.parametrize(
    "changes",
    [
        {"app_dir": "/srv/a\nExecStartPre=/bin/id"},
        {"app_dir": '/srv/a" "b'},
        {"app_dir": "/srv/a'b"},
        {"app_dir": "/srv/a ;b"},
        {"app_dir": "/srv/$HOME"},
        {"app_dir": "/srv/a\\x20b"},
        {"app_dir": "relative"},
        {"app_dir": "~/apps/shop"},
        {"app": "shop;id"},
        {"app": "Shop"},
        {"app": "shop\n"},
        {"process": "web worker"},
        {"user": "deploy\nUser=root"},
        {"user": ""},
        {"stop_timeout": -1.0},
        {"stop_timeout": float("nan")},
        {"stop_timeout": float("inf")},
    ],
)
def test_what_could_change_the_meaning_of_a_unit_file_is_refused(manager: str, changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        spec(manager, **changes)


def test_an_unknown_manager_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(ConfigError, match="did you mean 'systemd'"):
        spec("sytemd")


@pytest.mark.parametrize("facts", [{}, {"supervisor": None}, {"supervisor": {"ctl": "/x"}}])
def test_a_host_without_supervisor_is_refused_before_anything_changes(facts: dict[str, Any]) -> None:
    with pytest.raises(PreflightError, match="not found"):
        spec("supervisor", facts=facts)


def test_a_user_without_an_entry_on_the_host_is_not_looked_up_by_supervisor() -> None:
    assert "user=deploy" in content(manager="supervisor")
    assert not any(line.startswith("user=") for line in content(manager="supervisor", user="1000"))
