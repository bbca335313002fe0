"""Which background processes a release runs on a host: those that it was deployed with, where they belong today."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from handrail.agent.app import App
from handrail.agent.jobs import how_it_ended, seconds
from handrail.agent.settling import processes_of

pytestmark = pytest.mark.unit


@pytest.fixture
def app(tmp_path: Path) -> App:
    made = App(str(tmp_path), "shop")
    for release in ("1-a", "2-b"):
        Path(made.release(release, ".handrail")).mkdir(parents=True)
    return made


def worker(name: str, **facts: Any) -> dict[str, Any]:
    text = facts.pop("text", "today's")
    return {f"shop-{name}@1": {"process": name, "files": [{"path": f"{name}.service", "content": text}], **facts}}


def job(name: str, schedule: str = "@daily", *, here: bool = True) -> dict[str, Any]:
    return {f"shop-{name}": {"process": name, "schedule": schedule, "here": here, "files": []}}


def test_a_rollback_brings_back_the_jobs_of_its_release_with_their_times(app: App) -> None:
    assert processes_of(app, "1-a", {**worker("w"), **job("nightly", "@hourly")}).keys() == {"shop-w@1", "shop-nightly"}
    declared = {**job("nightly", "* * * * *"), **job("new")}
    assert processes_of(app, "2-b", declared) == declared
    assert processes_of(app, "1-a", declared) == {**worker("w"), **job("nightly", "@hourly")}


def test_a_job_that_has_moved_to_another_host_stays_there_with_a_rollback(app: App) -> None:
    elsewhere = job("nightly", here=False)
    assert processes_of(app, "1-a", job("nightly")) == job("nightly")
    assert processes_of(app, "1-a", elsewhere) == {}
    assert processes_of(app, "2-b", elsewhere) == {}
    assert processes_of(app, "2-b", job("nightly")).keys() == {"shop-nightly"}


def test_a_rollback_brings_back_the_unit_in_the_numbers_of_today(app: App) -> None:
    processes_of(app, "1-a", worker("w", text="its own"))
    two = {**worker("w"), "shop-w@2": worker("w")["shop-w@1"]}
    found = processes_of(app, "1-a", two)
    assert found.keys() == two.keys()
    assert {spec["files"][0]["content"] for spec in found.values()} == {"its own"}


def test_a_process_that_became_a_job_is_a_process_again_with_a_rollback(app: App) -> None:
    processes_of(app, "1-a", worker("mail"))
    assert processes_of(app, "1-a", job("mail")) == worker("mail")


@pytest.mark.parametrize(
    ("how", "status", "code"), [("exited", "3", 3), ("killed", "TERM", -15), ("dumped", "SEGV", -11)]
)
def test_how_a_run_ended_is_a_number_as_subprocess_has_it(how: str, status: str, code: int) -> None:
    report = {"last": {"ended": 5, "how": how, "status": status, "release": "1-a"}}
    assert how_it_ended(report) == {"ended": 5, "code": code, "release": "1-a"}


def test_systemds_times_are_read_as_utc() -> None:
    assert seconds("Thu 1970-01-01 00:01:00 UTC") == 60
    assert seconds("n/a") is None
    assert seconds("") is None
