"""What is to be done on a host, as data: each fact that is not as it should be makes the one step that mends it."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from host_facts import KEY, bare, ready

from handrail.config.schema import Proxy, Worker
from handrail.hosts.setup import build_steps
from handrail.hosts.steps import Step, shown
from handrail.hosts.want import NGINX_AVAILABLE, NGINX_CONF, NGINX_DEFAULT, Want
from handrail.runtime.proxy import CADDYFILE

pytestmark = pytest.mark.unit

MakeWant = Callable[..., Want]

OWN_SITE = """\
# listen 80 default_server;
server {
\tlisten 80 default_server;
\tlisten [::]:80 default_server;
\tserver_name _;
}
"""


def todo(steps: list[Step]) -> dict[str, Step]:
    return {step.name: step for step in steps if step.todo or step.problem}


def only(want: Want, facts: dict[str, Any], name: str, **kw: Any) -> Step:
    """Return the one step that is left; AssertionError where it is not ``name`` alone."""
    left = todo(build_steps(want, facts, **kw))
    assert list(left) == [name]
    return left[name]


def commands(step: Step) -> list[str]:
    return [shlex.join(action["argv"]) for action in step.actions if action["kind"] == "run"]


def test_a_bare_host_is_prepared_from_packages_to_proxy(want: MakeWant) -> None:
    steps = build_steps(want(), bare(want()))
    assert list(todo(steps)) == ["packages", "user", "keys", "sudo", "folders", "proxy"]
    assert [step.name for step in steps if step.looks_again] == ["packages", "user"]
    assert not any(step.problem for step in steps)


def test_a_host_that_is_ready_has_nothing_to_do(want: MakeWant) -> None:
    steps = build_steps(want(), ready(want()))
    assert todo(steps) == {}
    assert not any(step.actions for step in steps if step.todo)
    assert all(step.there for step in steps)


@pytest.mark.parametrize("table", [{"service": False, "proxy": None}, {"manager": "supervisor"}, {"root": "/srv/apps"}])
def test_other_projects_come_to_an_end_too(table: dict[str, Any], want: MakeWant) -> None:
    assert todo(build_steps(want(**table), ready(want(**table)))) == {}


def test_a_new_account_has_a_home_a_shell_and_no_password(want: MakeWant) -> None:
    facts = bare(want())
    step = todo(build_steps(want(), facts))["user"]
    assert commands(step) == ["useradd --create-home --shell /bin/bash deploy"]
    facts["group"] = True
    step = todo(build_steps(want(), facts))["user"]
    assert commands(step) == ["useradd --create-home --shell /bin/bash --gid deploy deploy"]


def test_an_account_that_nobody_can_use_is_left_to_a_person(want: MakeWant) -> None:
    facts = ready(want())
    facts["account"]["shell"] = "/usr/sbin/nologin"
    step = only(want(), facts, "user")
    assert "/usr/sbin/nologin" in step.problem
    assert "usermod --shell" in step.next_step


def test_a_key_is_added_below_those_that_are_there(want: MakeWant) -> None:
    facts = ready(want())
    facts["keys"] = "# mine\nssh-rsa AAAAB3 other"
    step = only(want(), facts, "keys")
    folder, file = step.actions
    assert (folder["mode"], folder["user"]) == (0o700, "deploy")
    assert (file["mode"], file["user"]) == (0o600, "deploy")
    assert file["content"] == f"# mine\nssh-rsa AAAAB3 other\n{KEY}\n"
    assert "SHA256:" in step.todo
    assert "(laptop)" in step.todo


def test_a_key_that_is_there_with_options_or_another_name_is_not_added_again(want: MakeWant) -> None:
    facts = ready(want())
    facts["keys"] = f'from="10.0.0.0/8" {KEY.replace("laptop", "desk")}\n'
    assert todo(build_steps(want(), facts)) == {}


def test_a_key_that_is_commented_out_may_not_log_in(want: MakeWant) -> None:
    facts = ready(want())
    facts["keys"] = f"  # {KEY}\n"
    assert only(want(), facts, "keys").actions[-1]["content"] == f"  # {KEY}\n{KEY}\n"
    assert "--authorized-key" in only(want(keys=()), facts, "keys").next_step


def test_loose_modes_of_the_keys_are_tightened(want: MakeWant) -> None:
    facts = ready(want())
    facts["owners"]["/home/deploy/.ssh/authorized_keys"]["mode"] = 0o664
    assert "mode" in only(want(), facts, "keys").todo


def test_nobody_is_locked_out_by_a_set_up_without_any_key(want: MakeWant) -> None:
    facts = bare(want())
    assert "--authorized-key" in todo(build_steps(want(keys=()), facts))["keys"].next_step


@pytest.mark.security
def test_the_rules_are_checked_by_visudo_before_they_take_effect(want: MakeWant) -> None:
    facts = ready(want())
    facts["files"][want().sudoers] = "deploy ALL=(ALL) NOPASSWD: ALL\n"
    (action,) = only(want(), facts, "sudo").actions
    assert action["check"] == ["visudo", "-cf", "{}"]
    assert (action["path"], action["mode"]) == ("/etc/sudoers.d/handrail-shop", 0o440)
    assert "ALL=(root)" in action["content"]


@pytest.mark.security
@pytest.mark.parametrize("manager", ["systemd", "supervisor"])
def test_what_earlier_deploys_left_may_still_be_ended(manager: str, want: MakeWant) -> None:
    one, facts = want(manager=manager), ready(want(manager=manager))
    facts["processes"] = [
        ["mailer", manager, False], ["nightly", manager, True], ["../x", manager, False], ["mailer", "upstart", False],
    ]  # fmt: skip
    facts["slots"] = True
    rules = only(one, facts, "sudo").actions[0]["content"]
    stop = "/usr/bin/systemctl --quiet disable --now" if manager == "systemd" else "/supervisord.conf stop"
    ends = {"systemd": ["mailer@[0-9].service", "nightly.timer", "web-blue.service"]}
    for name in ends.get(manager, ["mailer-[0-9]", "nightly", "web-blue"]):
        assert f"{stop} shop-{name}" in rules.replace("\\", "")
    assert ".." not in rules


def test_a_process_of_which_none_is_to_run_has_its_rules_for_inv_scale(want: MakeWant, target: Any) -> None:
    none = Worker(command="work", instances=0)
    one = replace(want(), target=replace(target(), processes={"worker": none}))
    assert "restart shop-worker@[0-9].service" in only(one, ready(want()), "sudo").actions[0]["content"]


@pytest.mark.security
def test_rules_that_are_not_roots_own_are_made_anew(want: MakeWant) -> None:
    facts = ready(want())
    facts["owners"][want().sudoers] = {"uid": 1001, "gid": 0, "mode": 0o440}
    assert [action["kind"] for action in only(want(), facts, "sudo").actions] == ["unlink", "write"]


def test_a_folder_in_the_users_home_is_made_by_the_user_and_another_one_is_given_away(want: MakeWant) -> None:
    for table, (user, owner) in (({}, ("deploy", "")), ({"root": "/srv/apps"}, ("", "deploy"))):
        facts = ready(want(**table))
        del facts["owners"][facts["folder"]]
        (action,) = only(want(**table), facts, "folders").actions
        assert (action["user"], action["owner"]) == (user, owner)


def test_a_folder_of_somebody_else_is_never_taken(want: MakeWant) -> None:
    facts = ready(want())
    facts["owners"][facts["folder"]]["uid"] = 33
    step = only(want(), facts, "folders")
    assert "belongs to the user with the number 33" in step.problem
    assert not step.actions


def test_packages_are_installed_in_one_go_without_questions(want: MakeWant) -> None:
    step = todo(build_steps(want(manager="supervisor"), bare(want())))["packages"]
    (action,) = step.actions
    assert action["argv"][-4:] == ["caddy", "supervisor", "python3.11", "python3.11-venv"]
    assert "DPkg::Lock::Timeout=120" in action["argv"]
    assert action["env"]["DEBIAN_FRONTEND"] == "noninteractive"


@pytest.mark.parametrize("age", [None, 30 * 3600.0])
def test_package_lists_that_are_missing_or_old_are_fetched_once(age: float | None, want: MakeWant) -> None:
    facts = bare(want())
    facts["apt"]["age"] = age
    assert list(todo(build_steps(want(), facts)))[:2] == ["lists", "packages"]
    assert "lists" not in todo(build_steps(want(), facts, lists_failed=[]))
    facts = ready(want())
    facts["apt"]["age"] = age
    assert todo(build_steps(want(), facts)) == {}, "who needs no package needs no lists"


def test_a_package_that_apt_does_not_know_is_named_with_the_reason(want: MakeWant) -> None:
    facts = bare(want())
    facts["apt"]["candidates"]["caddy"] = ""
    said = ["Err:1 http://deb.debian.org bookworm", "W: Failed to fetch http://deb.debian.org/x  Connection refused"]
    step = todo(build_steps(want(), facts, lists_failed=said))["packages"]
    assert step.problem == (
        "Debian GNU/Linux 12 (bookworm) knows no package caddy: apt's package lists could not be fetched "
        "(Failed to fetch http://deb.debian.org/x  Connection refused)"
    )


def test_an_installation_that_was_interrupted_is_finished_first(want: MakeWant) -> None:
    facts = ready(want())
    facts["apt"]["interrupted"] = True
    assert commands(only(want(), facts, "repair")) == ["dpkg --force-confold --configure -a"]


def test_a_program_that_somebody_installed_is_not_installed_again(want: MakeWant) -> None:
    facts = ready(want())
    facts["apt"]["installed"].remove("caddy")
    assert todo(build_steps(want(), facts)) == {}
    facts["units"]["caddy"]["is_there"] = False
    assert "no caddy.service" in only(want(), facts, "proxy").problem


def test_python_comes_from_uv_where_debian_has_no_package_of_it(want: MakeWant) -> None:
    facts = ready(want())
    facts["uv"] = "/usr/local/bin/uv"
    step = only(want(python="3.13"), facts, "python")
    (action,) = step.actions
    assert (action["argv"], action["user"]) == (["/usr/local/bin/uv", "python", "install", "3.13"], "deploy")


def test_a_python_that_nobody_can_bring_is_said_with_what_is_there(want: MakeWant) -> None:
    step = only(want(python="3.13"), ready(want()), "python")
    assert step.problem == (
        "Python 3.13 is not there, and Debian GNU/Linux 12 (bookworm) has no package of it; "
        "there is: 3.11 (/usr/bin/python3.11)"
    )
    assert 'python = "3.11"' in step.next_step


def test_a_python_without_venv_gets_the_package_that_has_it(want: MakeWant) -> None:
    facts = ready(want())
    facts["has_venv"] = False
    (action,) = only(want(), facts, "packages").actions
    assert action["argv"][-1] == "python3.11-venv"


def test_caddys_configuration_is_added_to_and_checked_by_caddy(want: MakeWant) -> None:
    facts = ready(want())
    facts["files"][CADDYFILE] = "{\n  email me@example.com\n}"
    step = only(want(), facts, "proxy")
    write = step.actions[0]
    assert write["content"] == "{\n  email me@example.com\n}\nimport /etc/caddy/handrail/*.caddy\n"
    assert write["check"][:2] == ["caddy", "adapt"]
    assert commands(step) == ["systemctl reload caddy"]


@pytest.mark.parametrize(("site", "replaced"), [(":80", True), ("http://:80", True), (":8080", False), ("a.b", False)])
def test_caddys_own_page_goes_only_where_it_would_answer_in_the_apps_place(
    site: str, replaced: bool, want: MakeWant
) -> None:
    for unchanged in (True, False):
        table = {"proxy": Proxy(kind="caddy", site=site)}
        facts = ready(want(**table))
        facts["files"][CADDYFILE] = ":80 {\n\tfile_server\n}\n"
        facts["unchanged"] = [CADDYFILE] if unchanged else []
        content = only(want(**table), facts, "proxy").actions[0]["content"]
        assert ("file_server" not in content) is (replaced and unchanged)


def test_a_caddy_without_its_admin_address_is_left_to_a_person(want: MakeWant) -> None:
    facts = ready(want())
    facts["files"][CADDYFILE] = "{\n\tadmin off\n}\nimport /etc/caddy/handrail/*.caddy\n"
    assert "`admin off`" in only(want(), facts, "proxy").problem


@pytest.mark.parametrize("link", [NGINX_AVAILABLE, "../sites-available/default"])
def test_nginxs_own_page_goes_where_it_would_answer_in_the_apps_place(link: str, want: MakeWant) -> None:
    table = {"proxy": Proxy(kind="nginx", site=":80")}
    facts = ready(want(**table))
    facts["files"][NGINX_CONF] = "include /etc/nginx/conf.d/*.conf;"
    facts["files"][NGINX_DEFAULT] = OWN_SITE
    facts["links"][NGINX_DEFAULT] = link
    facts["unchanged"] = [NGINX_AVAILABLE]
    step = only(want(**table), facts, "proxy")
    assert [action["kind"] for action in step.actions] == ["unlink", "run", "run"]
    assert commands(step) == ["nginx -t", "systemctl reload nginx"]
    facts["files"][NGINX_CONF] = "http {}"
    assert "does not include" in only(want(**table), facts, "proxy").problem


@pytest.mark.parametrize(
    ("link", "unchanged"), [(NGINX_AVAILABLE, []), ("/etc/nginx/sites-available/blog", [NGINX_AVAILABLE]), ("", [])]
)
def test_a_site_that_somebody_has_written_is_never_taken_away(link: str, unchanged: list[str], want: MakeWant) -> None:
    one = want(proxy=Proxy(kind="nginx", site=":80"))
    facts = ready(one)
    facts["files"] |= {NGINX_CONF: "include /etc/nginx/conf.d/*.conf;", NGINX_DEFAULT: OWN_SITE}
    facts["links"][NGINX_DEFAULT] = link
    facts["unchanged"] = unchanged
    assert "somebody's own" in only(one, facts, "proxy").problem
    facts["files"][NGINX_DEFAULT] = OWN_SITE.replace(" default_server", "")
    assert todo(build_steps(one, facts)) == {}, "the app's own comes first"
    named = want(proxy=Proxy(kind="nginx", site="shop.example.com"))
    facts["files"][NGINX_DEFAULT] = OWN_SITE
    assert todo(build_steps(named, facts)) == {}


def test_a_server_that_does_not_run_is_enabled_and_started(want: MakeWant) -> None:
    facts = ready(want())
    facts["units"]["caddy"].update(active=False, enabled=False)
    assert commands(only(want(), facts, "proxy")) == ["systemctl enable caddy", "systemctl start caddy"]


def test_a_host_without_systemd_is_left_to_a_person(want: MakeWant) -> None:
    facts = ready(want(proxy=None))
    facts["systemd"] = False
    assert "does not run systemd" in only(want(proxy=None), facts, "manager").problem


def test_every_action_can_be_shown_as_a_person_would_type_it(want: MakeWant) -> None:
    steps = build_steps(want(), bare(want()))
    lines = [shown(action) for step in steps for action in step.actions]
    assert "useradd --create-home --shell /bin/bash deploy" in lines
    assert "sudo -u deploy install -d -m 0700 /home/deploy/.ssh" in lines
    assert "write /etc/sudoers.d/handrail-shop (mode 0440)" in lines
