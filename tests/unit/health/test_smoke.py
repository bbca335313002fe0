from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from handrail.config.schema import Project, Service, Smoke
from handrail.errors import ConfigError
from handrail.health.smoke import SmokeResult, base_url, declared_checks, run_smoke

pytestmark = pytest.mark.unit

Answer = Callable[[httpx.Request], httpx.Response]


def answer(status: int = 200, text: str = "hello", **headers: str) -> Answer:
    return lambda _request: httpx.Response(status, text=text, headers=headers)


def check(given: Answer, **declared: Any) -> SmokeResult:
    smoke = Smoke(**{"path": "/", **declared})
    (result,) = run_smoke([smoke], "http://127.0.0.1:8000", transport=httpx.MockTransport(given))
    return result


def test_an_answer_as_declared_passes() -> None:
    result = check(
        answer(201, "release 12-abc", server="gunicorn/23"),
        path="/version",
        status=201,
        body=r"release \d+-",
        headers={"Server": "^gunicorn"},
    )

    assert result.is_ok
    assert (result.status, result.url) == (201, "http://127.0.0.1:8000/version")


@pytest.mark.parametrize(
    ("given", "declared", "problem"),
    [
        (answer(500), {}, "expected status 200, got 500"),
        (answer(text="goodbye"), {"body": "^hello$"}, "the body does not match '^hello$'"),
        (answer(), {"headers": {"X-Release": "."}}, "header X-Release is missing"),
        (answer(server="b"), {"headers": {"Server": "a"}}, "header Server is 'b', which does not match 'a'"),
    ],
)
def test_each_difference_is_named(given: Answer, declared: dict[str, Any], problem: str) -> None:
    assert check(given, **declared).problems == [problem]


def test_all_differences_of_one_answer_are_named_together() -> None:
    result = check(answer(500, "oops"), body="hello", headers={"X": "."})

    assert len(result.problems) == 3


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    given = answer(301, location="https://elsewhere.example/")

    assert check(given, status=301, headers={"Location": "^https:"}).is_ok
    assert check(given).problems == ["expected status 200, got 301"]


def test_every_check_is_made_whatever_the_ones_before_it_said() -> None:
    asked = []

    def given(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        if request.url.path == "/b":
            raise httpx.ConnectError("Connection refused")
        return httpx.Response(500 if request.url.path == "/a" else 200)

    checks = [Smoke(path=path) for path in ("/a", "/b", "/c")]
    results = run_smoke(checks, "http://127.0.0.1:8000", transport=httpx.MockTransport(given))

    assert asked == ["/a", "/b", "/c"]
    assert [result.is_ok for result in results] == [False, False, True]
    assert results[1].problems == ["Connection refused"]
    assert results[1].status == 0


def test_a_timeout_says_how_long_was_allowed() -> None:
    def given(_request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("")

    assert check(given, max_seconds=2.5).problems == ["took longer than 2.5 s"]


def test_a_slow_drip_of_small_packets_does_not_outlive_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("handrail.health.smoke.time.monotonic", lambda: now[0])
    dripped = []

    def drip() -> Iterator[bytes]:
        while True:
            now[0] += 1.0
            dripped.append(b".")
            yield b"."

    result = check(lambda _request: httpx.Response(200, content=drip()), max_seconds=3.0)

    assert result.problems == ["took longer than 3 s"]
    assert len(dripped) == 4


def test_a_right_answer_that_comes_too_late_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("handrail.health.smoke.time.monotonic", lambda: now[0])

    def given(_request: httpx.Request) -> httpx.Response:
        now[0] += 5.5
        return httpx.Response(200)

    assert check(given, max_seconds=5.0).problems == ["took longer than 5 s"]


def test_a_body_in_an_unknown_charset_is_still_read() -> None:
    given = answer(text="hello", **{"content-type": "text/html; charset=no-such"})

    assert check(given, body="hello").is_ok


@pytest.mark.parametrize(
    ("declared", "where"),
    [
        ({"path": "healthz"}, r"smoke\[2\]\.path"),
        ({"body": "("}, r"smoke\[2\]\.body"),
        ({"headers": {"Server": "*"}}, r"smoke\[2\]\.headers\.Server"),
        ({"max_seconds": 0.0}, r"smoke\[2\]\.max_seconds"),
    ],
)
def test_a_check_that_cannot_be_meant_is_refused_before_anything_is_asked(declared: dict[str, Any], where: str) -> None:
    asked = []

    def given(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200)

    checks = [Smoke(path="/"), Smoke(**{"path": "/", **declared})]
    with pytest.raises(ConfigError, match=where):
        run_smoke(checks, "http://127.0.0.1:8000", transport=httpx.MockTransport(given))

    assert asked == []


def test_a_result_is_one_line_with_its_problems_and_one_json_object() -> None:
    good = SmokeResult("/", "http://h/", 200, 0.0123)
    bad = SmokeResult("/x", "http://h/x", 0, 5.0, ["took longer than 5 s", "and more"])

    assert good.line() == "ok    /  200  0.012 s"
    assert bad.line() == "FAIL  /x  no answer  5.000 s  took longer than 5 s; and more"
    assert bad.document() == {
        "path": "/x",
        "url": "http://h/x",
        "ok": False,
        "status": 0,
        "seconds": 5.0,
        "problems": ["took longer than 5 s", "and more"],
    }


@pytest.mark.parametrize(
    ("url", "hosts", "address"),
    [
        ("https://shop.example.com/", ["web1"], "https://shop.example.com"),
        ("", ["deploy@127.0.0.1:2222"], "http://127.0.0.1:8000"),
        ("", ["deploy@[::1]:2222", "web2"], "http://[::1]:8000"),
        ("", ["deploy@web1.example.com:22", "web2"], "http://web1.example.com:8000"),
    ],
)
def test_checks_go_to_the_declared_address_or_else_the_first_hosts_port(
    url: str, hosts: list[str], address: str
) -> None:
    assert base_url(url, hosts, 8000)[0] == address


def test_a_guessed_address_is_announced_unless_it_is_this_machine() -> None:
    assert "declares no url" in base_url("", ["web1"], 8000)[1]
    assert base_url("", ["localhost"], 8000)[1] == ""
    assert base_url("", ["[::1]"], 8000)[1] == ""
    assert base_url("https://shop.example.com", ["web1"], 8000)[1] == ""


@pytest.mark.parametrize("url", ["shop.example.com", "ftp://shop.example.com", "https://"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="expected an address"):
        base_url(url, ["web1"], 8000)


@pytest.mark.parametrize(("hosts", "port"), [([], 8000), (["web1"], 0)])
def test_without_address_host_or_port_it_says_what_to_declare(hosts: list[str], port: int) -> None:
    with pytest.raises(ConfigError) as caught:
        base_url("", hosts, port)

    assert "url" in caught.value.next_step


def test_without_declared_checks_the_health_path_is_checked() -> None:
    project = Project(app="shop", service=Service(command="run", health="/healthz", health_status=204))

    assert declared_checks(project) == [Smoke(path="/healthz", status=204)]


def test_declared_checks_stand_alone() -> None:
    checks = [Smoke(path="/a"), Smoke(path="/b")]
    project = Project(app="shop", service=Service(command="run", health="/healthz"), smoke=checks)

    assert declared_checks(project) == checks


def test_nothing_to_check_is_an_error_that_shows_what_to_write() -> None:
    with pytest.raises(ConfigError, match="nothing to check") as caught:
        declared_checks(Project(app="shop", service=Service(command="run")))

    assert "[[tool.handrail.smoke]]" in caught.value.next_step
