"""``inv job.run`` on several hosts: its exit code says whether it has begun anywhere."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from handrail.deploy import jobs
from handrail.deploy.fleet import Fleet
from handrail.deploy.session import HostError
from handrail.errors import HandrailError
from handrail.testing import RecordingPrinter

pytestmark = pytest.mark.unit

JOB = SimpleNamespace(schedule="0 3 * * *", hosts="all")
TARGET: Any = SimpleNamespace(
    environment="test", app="shop", hosts=["a", "b"], processes={"nightly": JOB}, connections=4, lease=60.0
)


class FakeSession:
    """A host that fails to begin a job with an error of a kind; ``""``: it begins it."""

    is_open = True

    def __init__(self, host: str, kind: str) -> None:
        self.host, self.kind = host, kind

    def open(self) -> dict[str, Any]:
        return {}

    def call(self, op: str, **_: Any) -> dict[str, Any]:
        if op == "lock":
            return {"left": "/srv/rehearsal, which a dry run left, cannot be deleted", "recovered": ""}
        if op == "begin_job" and self.kind:
            raise HostError(
                self.host, self.kind, "sudo says no", command="sudo systemctl start" * (self.kind == "sudo")
            )
        return {}

    def ping(self) -> None: ...

    def close(self, *, at_once: bool = False) -> None: ...


def begin(monkeypatch: pytest.MonkeyPatch, kinds: dict[str, str]) -> RecordingPrinter:
    def session(host: str, *_: object) -> Any:
        return FakeSession(host, kinds[host])

    printer = RecordingPrinter()
    monkeypatch.setattr(jobs, "Fleet", lambda target, root, hosts: Fleet(target, root, hosts, session))
    jobs.begin_job(TARGET, Path(), "nightly", printer)
    return printer


def test_what_taking_the_lock_found_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "b: /srv/rehearsal, which a dry run left" in begin(monkeypatch, {"a": "", "b": ""}).text


@pytest.mark.parametrize(
    ("kinds", "exit_code", "states"),
    [
        (("sudo", "sudo"), 3, ("it has not begun", "it has not begun")),
        (("", "sudo"), 4, ("it has begun", "it has not begun")),
        (("sudo", "lost"), 4, ("it has not begun", "unknown")),
    ],
)
def test_a_job_that_did_not_begin_everywhere_says_where_it_did(
    monkeypatch: pytest.MonkeyPatch, kinds: tuple[str, str], exit_code: int, states: tuple[str, str]
) -> None:
    with pytest.raises(HandrailError, match="sudo says no") as caught:
        begin(monkeypatch, dict(zip("ab", kinds, strict=True)))
    assert caught.value.exit_code == exit_code
    assert caught.value.host_states == dict(zip("ab", states, strict=True))
    assert "inv host.setup" in caught.value.next_step
