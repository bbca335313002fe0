from __future__ import annotations

from typing import Any

import pytest

from handrail.health.summary import health_document, rows, verdict

pytestmark = pytest.mark.unit


def host(name: str = "web1", **changes: Any) -> dict[str, Any]:
    healthy = {
        "host": name,
        "release": "12-abc",
        "running_release": "12-abc",
        "ok": True,
        "why": "",
        "health": {"ok": True, "status": 200, "seconds": 0.0123, "error": ""},
        "error": "",
    }
    return {**healthy, **changes}


def status(*hosts: dict[str, Any], state: str = "ok") -> dict[str, Any]:
    return {"environment": "staging", "app": "shop", "state": state, "hosts": list(hosts)}


def test_hosts_that_all_serve_one_healthy_release_are_healthy() -> None:
    document = health_document(status(host("web1"), host("web2")))

    assert document["ok"]
    assert rows(document)[1] == ["web2", "12-abc", "healthy", "0.012"]
    assert verdict(document) == "2 of 2 hosts healthy"


def test_one_host_that_is_not_healthy_makes_the_environment_unhealthy() -> None:
    sick = host("web2", ok=False, why="GET /healthz answered 500, expected 200")
    document = health_document(status(host("web1"), sick, state="down"))

    assert not document["ok"]
    assert rows(document)[1][2] == "GET /healthz answered 500, expected 200"
    assert verdict(document) == "1 of 2 hosts healthy"


def test_healthy_hosts_with_different_releases_are_not_a_healthy_environment() -> None:
    other = host("web2", release="11-aaa", running_release="11-aaa")
    document = health_document(status(host("web1"), other, state="mixed"))

    assert not document["ok"]
    assert verdict(document) == "2 of 2 hosts healthy; they do not serve the same release"


def test_a_host_that_cannot_be_reached_says_why() -> None:
    lost = host("web1", release=None, running_release=None, ok=False, health=None, error="no route", why="no route")
    document = health_document(status(lost, state="unreachable"))

    assert rows(document) == [["web1", "-", "no route", "-"]]
    assert verdict(document) == "no route"


@pytest.mark.parametrize(
    ("changes", "state", "why"),
    [
        ({"release": None, "running_release": None, "health": None}, "empty", "nothing is deployed"),
        ({"running_release": "11-aaa"}, "mixed", "release 11-aaa still runs"),
        ({}, "uncommitted", "the release is not committed yet"),
    ],
)
def test_a_host_without_a_reason_of_its_own_gets_one(changes: dict[str, Any], state: str, why: str) -> None:
    document = health_document(status(host(**changes, ok=False), state=state))

    assert document["hosts"][0]["why"] == why
    assert not document["ok"]


def test_a_service_without_a_health_path_has_no_seconds() -> None:
    document = health_document(status(host(health=None)))

    assert document["ok"]
    assert rows(document)[0][3] == "-"


def test_an_environment_where_nothing_is_deployed_is_not_healthy() -> None:
    nothing = host(release=None, running_release=None, ok=False, health=None)
    document = health_document(status(nothing, nothing, state="empty"))

    assert verdict(document) == "0 of 2 hosts healthy; nothing is deployed"
    assert not document["ok"]
