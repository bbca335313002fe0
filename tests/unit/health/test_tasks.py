from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from handrail.config.schema import Project, Smoke
from handrail.errors import TaskFailedError
from handrail.health.smoke import SmokeResult
from handrail.tasks.base import TaskContext
from handrail.tasks.health import health, smoke

pytestmark = pytest.mark.unit


class Words:
    """Takes what the tasks say, by method."""

    def __init__(self) -> None:
        self.said: list[tuple[str, Any]] = []

    def __getattr__(self, method: str) -> Any:
        return lambda *what: self.said.append((method, what if len(what) > 1 else what[0]))

    def of(self, method: str) -> list[Any]:
        return [what for name, what in self.said if name == method]


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> Words:
    target = SimpleNamespace(url="https://shop.example", hosts=["web1"], port=8000, ssh_config="")
    project = Project(app="shop", smoke=[Smoke(path="/a"), Smoke(path="/b")])
    shop = SimpleNamespace(target=target, project=project)
    monkeypatch.setattr("handrail.deploy.run.open_workshop", lambda *_: shop)
    return Words()


def context(words: Words) -> TaskContext:
    return TaskContext(words, root=Path("/nowhere"))  # type: ignore[arg-type]


def smoke_answers(monkeypatch: pytest.MonkeyPatch, *problems: list[str]) -> None:
    results = [SmokeResult("/x", "https://shop.example/x", 200, 0.1, found) for found in problems]
    monkeypatch.setattr("handrail.health.smoke.run_smoke", lambda checks, base: results)


def host_says(monkeypatch: pytest.MonkeyPatch, *, ok: bool, state: str) -> None:
    row = {"host": "web1", "release": "1-a", "running_release": "1-a", "ok": ok, "why": "" if ok else "it is down"}
    document = {
        "environment": "staging",
        "app": "shop",
        "state": state,
        "hosts": [{**row, "health": None, "error": ""}],
    }
    monkeypatch.setattr("handrail.deploy.status.collect_status", lambda target, root: document)


def test_smoke_prints_one_line_a_check_and_one_document(words: Words, monkeypatch: pytest.MonkeyPatch) -> None:
    smoke_answers(monkeypatch, [], [])

    smoke(context(words), env="staging")

    assert len(words.of("info")) == 2
    (document,) = words.of("result")
    assert (document["ok"], document["url"], len(document["checks"])) == (True, "https://shop.example", 2)
    assert len(words.of("success")) == 1


def test_smoke_fails_with_exit_code_1_after_it_has_shown_every_check(
    words: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    smoke_answers(monkeypatch, ["expected status 200, got 500"], [])

    with pytest.raises(TaskFailedError, match="1 of 2 smoke checks failed") as caught:
        smoke(context(words), env="staging")

    assert caught.value.exit_code == 1
    assert [line[:4] for line in words.of("info")] == ["FAIL", "ok  "]
    assert words.of("result")[0]["ok"] is False


def test_health_shows_a_table_and_one_document(words: Words, monkeypatch: pytest.MonkeyPatch) -> None:
    host_says(monkeypatch, ok=True, state="ok")

    health(context(words), env="staging")

    ((_title, columns, rows),) = words.of("table")
    assert columns == ["host", "release", "health", "seconds"]
    assert rows == [["web1", "1-a", "healthy", "-"]]
    assert words.of("result")[0]["ok"] is True


def test_health_fails_with_exit_code_1_and_names_the_sick_host(words: Words, monkeypatch: pytest.MonkeyPatch) -> None:
    host_says(monkeypatch, ok=False, state="down")

    with pytest.raises(TaskFailedError, match="it is down") as caught:
        health(context(words), env="staging")

    assert caught.value.exit_code == 1
    assert caught.value.host_states == {"web1": "it is down"}
    assert words.of("result")[0]["ok"] is False
