"""The agent as a real process on this machine, spoken to over its pipes as the SSH channel would."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shlex
import signal
import stat
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from handrail import agent
from handrail.agent.service import Service

pytestmark = pytest.mark.unit


class RefusalError(Exception):
    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error["message"])
        self.kind = error["kind"]
        self.error = error


class Client:
    """Speaks the protocol with an agent in a subprocess."""

    def __init__(self, root: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *shlex.split(agent.command())[2:]],
            env={**os.environ, "XDG_CACHE_HOME": str(root / "cache")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        line = self.stdout.readline()
        self.was_asked = agent.WANTED.encode() in line
        if self.was_asked:
            self.stdin.write(agent.text())
            self.stdin.flush()
            line = self.stdout.readline()
        assert agent.MARKER.encode() in line
        self.number = 0
        self.delivered = b""
        self.hello = self.call("hello", root=str(root), app="shop")

    def send(self, op: str, payload: bytes = b"", **params: Any) -> None:
        self.number += 1
        request = {"id": self.number, "op": op, **params}
        if payload:
            request["bytes"] = len(payload)
        self.stdin.write(json.dumps(request).encode() + b"\n" + payload)
        self.stdin.flush()

    def answer(self) -> dict[str, Any]:
        while True:
            line = self.stdout.readline()
            assert line, "the agent ended"
            document = json.loads(line)
            if "bytes" in document:
                self.delivered += self.stdout.read(document["bytes"])
            if document.get("id") == self.number and "ok" in document:
                if not document["ok"]:
                    raise RefusalError(document["error"])
                result: dict[str, Any] = document["result"]
                return result

    def call(self, op: str, payload: bytes = b"", **params: Any) -> dict[str, Any]:
        self.send(op, payload, **params)
        return self.answer()

    def lock(self, wait: float = 0.0) -> dict[str, Any]:
        return self.call("lock", holder={"who": "test", "since": 1.0}, wait=wait)

    def begin(self, release: str, deploy: str, kind: str = "deploy", keep: int = 5) -> dict[str, Any]:
        state = {"deploy": deploy, "release": release, "kind": kind, "who": "test", "since": 1.0}
        return self.call("begin", state=state, keep=keep)

    def offer(self, members: list[dict[str, Any]]) -> list[int]:
        packed = zlib.compress(json.dumps({"members": members, "python": ""}).encode())
        missing: list[int] = self.call("offer", packed)["missing"]
        return missing

    def put(self, objects: list[tuple[str, bytes]], *, compressed: bool = True, frame: int = 1000) -> dict[str, Any]:
        data = b"".join(content for _, content in objects)
        data = zlib.compress(data) if compressed else data
        self.send("put", objects=[[sha, len(content)] for sha, content in objects], compressed=compressed)
        for start in range(0, len(data), frame):
            part = data[start : start + frame]
            self.stdin.write(b'{"op":"data","bytes":%d}\n' % len(part) + part)
        self.stdin.write(b'{"op":"end"}\n')
        self.stdin.flush()
        return self.answer()

    def prepare(self, release: str, files: dict[str, bytes], **changes: Any) -> None:
        members = [member(path, content) for path, content in files.items()]
        missing = set(self.offer(members))
        unique = list({m["sha256"]: files[m["path"]] for m in members}.items())
        self.put([pair for index, pair in enumerate(unique) if index in missing])
        request = {
            "env": "export A='1'\n",
            "variables": {},
            "launchers": {},
            "irreversible": [],
            "shared": [],
            **changes,
        }
        self.call("prepare", release=release, **request)

    def deploy(self, release: str, files: dict[str, bytes] | None = None, keep: int = 5) -> None:
        self.begin(release, f"deploy-{release}", keep=keep)
        self.prepare(release, files if files is not None else {"code.txt": release.encode()})
        self.call("activate", service=None, lease=30)
        self.call("verify")
        self.call("commit", deploy=f"deploy-{release}")

    def prepare_a_first(self) -> None:
        """Lock the host, and prepare 1-abc with the one file ``a`` in a deploy d1."""
        self.lock()
        self.begin("1-abc", "d1")
        self.prepare("1-abc", {"a": b"a"})

    def prepare_a_second(self) -> None:
        """Lock the host, let 1-abc serve, and prepare 2-def in a deploy d2: what comes next is its activation."""
        self.lock()
        self.deploy("1-abc")
        self.begin("2-def", "d2")
        self.prepare("2-def", {"code.txt": b"2"})

    def kill(self) -> None:
        """Kill the agent, and only it, as the out-of-memory killer would."""
        self.process.kill()
        self.process.wait()


def member(path: str, content: bytes, mode: int = 0o644, **changes: Any) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    return {
        "kind": "file",
        "path": path,
        "sha256": digest,
        "size": len(content),
        "mode": mode,
        "target": "",
        **changes,
    }


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the awaited condition did not come"
        time.sleep(0.01)


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Callable[[], Client]]:
    clients: list[Client] = []

    def make() -> Client:
        clients.append(Client(tmp_path))
        return clients[-1]

    yield make
    for client in clients:
        client.process.kill()
        client.process.wait()
        client.stdin.close() if not client.stdin.closed else None
        client.stdout.close()
    for pid in guardians_of(tmp_path / "shop"):
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return tmp_path / "shop"


def serves(app: Path) -> str:
    return (app / "current").resolve().name if (app / "current").is_symlink() else ""


def history(app: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (app / "history.jsonl").read_text().splitlines()]


def guardians_of(app: Path) -> list[int]:
    """A guardian is what writes to this app's guardian.log."""
    found = []
    for output in Path("/proc").glob("[0-9]*/fd/1"):
        with contextlib.suppress(OSError):
            if str(output.readlink()) == str(app / "tx" / "guardian.log"):
                found.append(int(output.parts[2]))
    return found


def guardian_of(app: Path) -> int:
    wait_until(lambda: guardians_of(app) != [])
    return guardians_of(app)[0]


def test_looking_changes_nothing(connect: Callable[[], Client], app: Path) -> None:
    client = connect()
    assert client.hello["current"] == ""
    assert f"{sys.version_info[0]}.{sys.version_info[1]}" in client.hello["pythons"]
    client.call("status")
    client.call("preflight", need_bytes=1, need_inodes=1, reserve_bytes=0)
    assert not app.exists()


def test_a_release_holds_its_files_with_their_modes(connect: Callable[[], Client], app: Path) -> None:
    client = connect()
    client.lock()
    client.begin("1-abc", "d1")
    big = os.urandom(3_000_000)
    files = {"a.txt": b"hello", "sub/run": b"#!/bin/sh\n", "big.bin": big, "empty": b""}
    members = [member(p, c, 0o755 if p == "sub/run" else 0o644) for p, c in files.items()]
    link = {"kind": "link", "path": "sub/up", "sha256": "", "size": 0, "mode": 0, "target": "../a.txt"}
    assert client.offer([*members, link]) == [0, 1, 2, 3]
    assert client.put([(m["sha256"], files[m["path"]]) for m in members], frame=70_000)["stored"] == 4
    assert client.offer([*members, link]) == []
    client.call(
        "prepare",
        release="1-abc",
        env="export A='1'\n",
        variables={},
        launchers={"web": "x"},
        irreversible=[],
        shared=["up"],
    )
    release = app / "releases" / "1-abc"
    assert {p: (release / p).read_bytes() for p in files} == files
    assert os.access(release / "sub/run", os.X_OK)
    assert not (release / "a.txt").stat().st_mode & stat.S_IXUSR
    assert (release / "sub/up").read_bytes() == b"hello"
    assert (release / "up").resolve() == (app / "shared" / "up").resolve()
    assert serves(app) == ""


@pytest.mark.security
def test_the_env_file_and_the_journal_are_for_their_owner_only(connect: Callable[[], Client], app: Path) -> None:
    client = connect()
    client.prepare_a_first()
    meta = app / "releases/1-abc/.handrail"
    for path in (meta / "env", meta / "variables.json", app / "tx"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_an_object_with_another_content_is_refused_and_not_kept(connect: Callable[[], Client], app: Path) -> None:
    client = connect()
    client.lock()
    client.begin("1-abc", "d1")
    wanted = member("a", b"right")
    client.offer([wanted])
    with pytest.raises(RefusalError, match="another content"):
        client.put([(wanted["sha256"], b"wrong")])
    assert client.offer([wanted]) == [0]


def test_a_half_written_object_is_sent_again(connect: Callable[[], Client], app: Path) -> None:
    client = connect()
    client.lock()
    client.begin("1-abc", "d1")
    wanted = member("a", b"a whole object")
    path = app / "store/objects" / wanted["sha256"][:2] / wanted["sha256"]
    path.parent.mkdir()
    path.write_bytes(b"a who")
    assert client.offer([wanted]) == [0]
    client.put([(wanted["sha256"], b"a whole object")])
    assert path.read_bytes() == b"a whole object"


def test_objects_that_arrived_before_a_cut_are_not_sent_again(connect: Callable[[], Client], app: Path) -> None:
    first = connect()
    first.lock()
    first.begin("1-abc", "d1")
    members = [member("a", b"first"), member("b", b"second")]
    first.offer(members)
    first.send("put", objects=[[m["sha256"], m["size"]] for m in members], compressed=False)
    first.stdin.write(b'{"op":"data","bytes":7}\nfirstse')
    first.stdin.flush()
    first.stdin.close()
    first.process.wait(10)
    second = connect()
    second.lock()
    second.begin("1-abc", "d1")
    assert second.offer(members) == [1]


@pytest.mark.security
@pytest.mark.parametrize("path", ["../evil", "/etc/evil", "a/../../evil", "a//b", "", "a\0b"])
def test_a_path_that_leaves_the_release_is_refused(connect: Callable[[], Client], path: str) -> None:
    client = connect()
    client.lock()
    client.begin("1-abc", "d1")
    bad = member(path, b"x")
    client.offer([bad])
    client.put([(bad["sha256"], b"x")])
    with pytest.raises(RefusalError, match="unsafe path"):
        client.call("prepare", release="1-abc", env="", variables={}, launchers={}, irreversible=[], shared=[])


@pytest.mark.security
@pytest.mark.parametrize("target", ["/etc/passwd", "../../../x", ".."])
def test_a_link_that_leaves_the_release_is_refused(connect: Callable[[], Client], target: str) -> None:
    client = connect()
    client.lock()
    client.begin("1-abc", "d1")
    client.offer([{"kind": "link", "path": "l", "sha256": "", "size": 0, "mode": 0, "target": target}])
    with pytest.raises(RefusalError, match="outside the release"):
        client.call("prepare", release="1-abc", env="", variables={}, launchers={}, irreversible=[], shared=[])


def test_one_holder_has_the_lock_and_is_named(connect: Callable[[], Client]) -> None:
    one, two = connect(), connect()
    one.lock()
    with pytest.raises(RefusalError) as refused:
        two.lock()
    assert refused.value.kind == "locked"
    assert refused.value.error["holder"]["who"] == "test"
    assert two.call("status")["lock"]["held"]
    one.call("unlock")
    two.lock()


def test_the_lock_of_a_killed_agent_is_free(connect: Callable[[], Client]) -> None:
    one, two = connect(), connect()
    one.lock()
    one.kill()
    two.lock()
    assert two.call("status")["lock"]["held"]


def test_a_committed_release_stays_when_everybody_is_gone(connect: Callable[[], Client], app: Path) -> None:
    client = connect()
    client.lock()
    client.deploy("1-abc")
    client.kill()
    assert serves(app) == "1-abc"
    assert connect().lock()["recovered"] == ""
    assert [e["result"] for e in history(app)] == ["good"]


def test_a_host_whose_client_falls_silent_returns_when_the_lease_ends(connect: Callable[[], Client], app: Path) -> None:
    client = connect()
    client.prepare_a_second()
    client.call("activate", service=None, lease=0.3)
    assert serves(app) == "2-def"
    wait_until(lambda: serves(app) == "1-abc")
    wait_until(lambda: len(history(app)) == 2)
    assert history(app)[-1]["result"] == "returned"
    with pytest.raises(RefusalError) as late:
        client.call("commit", deploy="d2")
    assert late.value.kind == "returned"
    assert serves(app) == "1-abc"


def test_an_agent_that_was_frozen_does_not_switch_after_the_host_has_returned(
    connect: Callable[[], Client], app: Path
) -> None:
    client = connect()
    client.prepare_a_second()
    with (app / "tx" / "acting").open("w") as acting:
        fcntl.flock(acting, fcntl.LOCK_EX)
        client.send("activate", service=None, lease=0.3)
        wait_until(lambda: (app / "tx" / "decision").exists())
        assert serves(app) == "1-abc"
    with pytest.raises(RefusalError) as woken:
        client.answer()
    assert woken.value.kind == "returned"
    assert serves(app) == "1-abc"
    assert client.call("return", deploy="d2")["serves"] == "1-abc"
    assert [entry["result"] for entry in history(app)] == ["good", "returned"]


def test_pings_keep_an_activated_host_waiting(connect: Callable[[], Client], app: Path) -> None:
    client = connect()
    client.prepare_a_second()
    client.call("activate", service=None, lease=0.6)
    for _ in range(12):
        client.stdin.write(b'{"op":"ping"}\n')
        client.stdin.flush()
        time.sleep(0.1)  # the lease must really pass: twice its length goes by here
    client.call("commit", deploy="d2")
    assert serves(app) == "2-def"


def test_a_request_that_follows_a_failed_one_is_not_served(connect: Callable[[], Client], app: Path) -> None:
    client = connect()
    client.send("begin", state={"deploy": "d", "release": "1-abc"}, keep=5)
    client.send("lock", holder={}, after=client.number)
    skipped = client.number
    client.send("lock", holder={}, after=skipped)
    with pytest.raises(RefusalError) as refused:
        client.answer()
    assert refused.value.kind == "skipped"
    assert not (app / "lock").exists()
    client.send("lock", holder={}, after=client.number + 100)
    assert client.answer()["number"] == 0


def test_who_does_not_wait_for_a_lock_is_told_at_once(connect: Callable[[], Client]) -> None:
    first, second = connect(), connect()
    first.lock()
    started = time.monotonic()
    with pytest.raises(RefusalError) as refused:
        second.call("lock", holder={}, wait=None)
    assert refused.value.kind == "locked"
    assert time.monotonic() - started < 0.4


def test_a_lock_tells_what_may_have_changed_since_the_host_was_asked_first(
    connect: Callable[[], Client], app: Path
) -> None:
    waiting, first = connect(), connect()
    first.lock()
    first.deploy("1-abc")
    first.call("unlock")
    (app / "scale.json").write_text('{"worker": 3}')
    answer = waiting.lock()
    assert (answer["current"], answer["newest"], answer["scale"]) == (
        "1-abc",
        history(app)[-1]["finished"],
        {"worker": 3},
    )


def gently(client: Client) -> bool:
    taken: bool = client.call("lock", holder={"who": "me"}, wait=None, gently=True)["taken"]
    return taken


def test_a_gentle_lock_changes_nothing_on_a_host_that_never_had_one(connect: Callable[[], Client], app: Path) -> None:
    assert not gently(connect())
    assert not app.exists()


def test_a_gentle_lock_leaves_alone_what_has_to_be_finished_first(connect: Callable[[], Client], app: Path) -> None:
    client = connect()
    client.lock()
    client.begin("1-abc", "d1")
    client.kill()
    other = connect()
    wait_until(lambda: other.call("status")["lock"]["held"] is False)
    assert not gently(other)
    other.lock()
    other.begin("2-def", "d2")
    other.call("return", deploy="d2")
    other.call("unlock")
    (app / "rehearsal").mkdir()
    assert not gently(other)
    assert connect().lock()["taken"], "it was given back"


def test_a_gentle_lock_is_taken_where_it_is_free_and_refused_where_it_is_held(
    connect: Callable[[], Client], app: Path
) -> None:
    client = connect()
    client.lock()
    client.deploy("1-abc")
    client.call("unlock")
    assert gently(client)
    with pytest.raises(RefusalError) as refused:
        gently(connect())
    assert refused.value.kind == "locked"


def test_a_committed_host_can_be_brought_back_by_the_agent_that_holds_its_lock(
    connect: Callable[[], Client], app: Path
) -> None:
    client = connect()
    client.prepare_a_second()
    client.call("activate", service=None, lease=60)
    client.call("commit", deploy="d2")
    started = time.monotonic()
    client.lock(wait=10)
    assert time.monotonic() - started < 5, "it does not wait for itself"
    state = {"deploy": "d2-undo", "release": "1-abc", "kind": "rollback", "who": "me", "since": 0}
    client.call("begin", state=state, keep=5, digests=[])
    client.call("activate", service=None, lease=60)
    client.call("commit", deploy="d2-undo")
    assert serves(app) == "1-abc"


def test_the_compiled_agent_is_kept_by_who_changes_the_host_and_used_by_the_next(
    connect: Callable[[], Client], tmp_path: Path
) -> None:
    def kept() -> list[Path]:
        return sorted((tmp_path / "cache" / "handrail").glob("agent-*"))

    client = connect()
    assert client.was_asked
    assert kept() == [], "looking keeps nothing"
    client.lock()
    client.begin("1-abc", "d1")
    (path,) = kept()
    assert path.stat().st_mode & 0o777 == 0o600
    written = path.stat().st_mtime_ns
    client.kill()
    again = connect()
    assert not again.was_asked, "it does not travel twice"
    again.lock(wait=5)
    again.begin("1-abc", "d1")
    assert (kept(), path.stat().st_mtime_ns) == ([path], written)


def test_a_compiled_agent_that_others_can_write_is_passed_over(connect: Callable[[], Client], tmp_path: Path) -> None:
    client = connect()
    client.lock()
    client.begin("1-abc", "d1")
    client.kill()
    (path,) = (tmp_path / "cache" / "handrail").glob("agent-*")
    path.chmod(0o666)
    assert connect().was_asked


def test_four_versions_of_the_agent_are_kept(connect: Callable[[], Client], tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "handrail"
    folder.mkdir(parents=True)
    for number in range(6):
        (folder / f"agent-old{number}").write_text("")
        os.utime(folder / f"agent-old{number}", (number, number))
    client = connect()
    client.lock()
    client.begin("1-abc", "d1")
    names = {path.name for path in folder.iterdir()}
    assert len(names) == 4
    assert {"agent-old3", "agent-old4", "agent-old5"} < names


@pytest.mark.parametrize("damage", [b"", b"x", b"7\nabc", b"0\n"], ids=["empty", "text", "checksum", "nothing"])
def test_a_damaged_compiled_agent_is_passed_over_and_replaced(
    connect: Callable[[], Client], tmp_path: Path, damage: bytes
) -> None:
    client = connect()
    client.lock()
    client.begin("1-abc", "d1")
    client.kill()
    (path,) = (tmp_path / "cache" / "handrail").glob("agent-*")
    path.write_bytes(damage)
    again = connect()
    assert again.was_asked
    again.lock(wait=5)
    again.begin("1-abc", "d1")
    assert path.stat().st_size > 1000


def test_the_guardian_returns_a_host_whose_agent_was_killed(connect: Callable[[], Client], app: Path) -> None:
    client = connect()
    client.prepare_a_second()
    client.call("activate", service=None, lease=0.3)
    client.kill()
    wait_until(lambda: serves(app) == "1-abc")
    connect().lock(wait=5)


def test_a_guardian_has_a_name_a_session_and_of_its_agents_descriptors_only_the_lock(
    connect: Callable[[], Client], app: Path
) -> None:
    client = connect()
    client.prepare_a_first()
    client.call("activate", service=None, lease=60)
    guardian = Path(f"/proc/{guardian_of(app)}")
    wait_until(lambda: len(list((guardian / "fd").iterdir())) == 4)
    log = str(app / "tx" / "guardian.log")
    assert sorted(str(fd.readlink()) for fd in (guardian / "fd").iterdir()) == sorted(
        ["/dev/null", log, log, str(app / "lock")]
    )
    assert (guardian / "comm").read_text() == "handrail-guard\n"
    assert os.getsid(int(guardian.name)) == int(guardian.name) != os.getsid(client.process.pid)


def test_the_next_deploy_returns_a_host_whose_agent_and_guardian_were_killed(
    connect: Callable[[], Client], app: Path
) -> None:
    client = connect()
    client.prepare_a_second()
    client.call("activate", service=None, lease=60)
    os.kill(guardian_of(app), signal.SIGKILL)
    client.kill()
    other = connect()
    status = other.call("status")
    assert (status["current"], status["good"], status["transaction"]["step"]) == (
        "2-def",
        ["1-abc"],
        "activated",
    )
    assert "returned from 2-def" in other.lock()["recovered"]
    assert serves(app) == "1-abc"


def test_a_hold_that_was_cut_short_is_finished_and_not_returned(connect: Callable[[], Client], app: Path) -> None:
    client = connect()
    client.prepare_a_first()
    client.call("activate", service=None, lease=60)
    os.kill(guardian_of(app), signal.SIGKILL)
    client.process.kill()
    client.process.wait()
    state = json.loads((app / "tx/state.json").read_text())
    state.update(held={"who": "test", "since": 1.0, "slot": "green", "port": 8001}, migrated=True)
    (app / "tx/state.json").write_text(json.dumps(state))
    (app / "tx/decision").write_text("hold")
    answer = connect().lock(wait=5)
    assert "is held" in answer["recovered"]
    assert answer["transaction"]["step"] == "held"
    assert [(entry["result"], entry["migrated"]) for entry in history(app)] == [("held", True)]
    assert not (app / "tx/decision").exists()


def test_a_client_can_return_a_host_whose_guardian_was_killed(connect: Callable[[], Client], app: Path) -> None:
    client = connect()
    client.prepare_a_second()
    client.call("activate", service=None, lease=60)
    os.kill(guardian_of(app), signal.SIGKILL)
    assert client.call("return", deploy="d2", reason="test")["serves"] == "1-abc"
    assert serves(app) == "1-abc"


def test_another_connection_can_return_a_prepared_host_whose_agent_was_killed(
    connect: Callable[[], Client], app: Path
) -> None:
    first = connect()
    first.lock()
    first.deploy("1-aaa")
    first.begin("2-bbb", "deploy-2")
    first.prepare("2-bbb", {"code.txt": b"two"})
    first.kill()
    outcome = connect().call("return", deploy="deploy-2", reason="the agent died", result="failed")
    assert outcome == {"ok": True, "serves": "1-aaa", "why": ""}
    assert history(app)[-1]["result"] == "failed"
    assert not (app / "releases" / "2-bbb").exists()


def test_another_connection_can_commit_while_the_guardian_waits(connect: Callable[[], Client], app: Path) -> None:
    client = connect()
    client.prepare_a_second()
    client.call("activate", service=None, lease=30)
    client.kill()
    other = connect()
    assert other.call("commit", deploy="d2")["entry"]["release"] == "2-def"
    assert serves(app) == "2-def"
    assert other.call("commit", deploy="d2")["entry"]["release"] == "2-def", "a repeated commit is no failure"
    assert [e["result"] for e in history(app)] == ["good", "good"]


def test_the_first_release_returns_to_nothing(connect: Callable[[], Client], app: Path) -> None:
    client = connect()
    client.prepare_a_first()
    client.call("activate", service=None, lease=30)
    assert client.call("return", deploy="d1", reason="test") == {
        "ok": True,
        "serves": "",
        "why": "",
        "reason": "test",
    }
    assert not (app / "current").is_symlink()


def test_leftovers_of_a_death_before_the_rename_are_swept(connect: Callable[[], Client], app: Path) -> None:
    client = connect()
    client.lock()
    client.deploy("1-abc")
    (app / "current.999.1.tmp").symlink_to("releases/1-abc")
    (app / "releases/7-half").mkdir()
    client.begin("2-def", "d2")
    assert not (app / "current.999.1.tmp").is_symlink()
    assert sorted(p.name for p in (app / "releases").iterdir()) == ["1-abc"]


def test_only_good_releases_count_for_keep_and_the_store_is_cleaned(connect: Callable[[], Client], app: Path) -> None:
    client = connect()
    client.lock()
    for number in range(1, 4):
        client.deploy(f"{number}-aaa")
    for number in range(4, 9):
        client.begin(f"{number}-bad", f"d{number}")
        client.prepare(f"{number}-bad", {"code.txt": b"bad %d" % number})
        client.call("return", deploy=f"d{number}", reason="test", result="failed")
    client.deploy("9-aaa", keep=2)
    kept = {p.name for p in (app / "releases").iterdir()}
    assert kept == {"1-aaa", "2-aaa", "3-aaa", "9-aaa"}
    client.deploy("10-aaa", keep=2)
    assert {p.name for p in (app / "releases").iterdir()} == {"2-aaa", "3-aaa", "9-aaa", "10-aaa"}
    assert len([p for p in (app / "store/objects").rglob("*") if p.is_file()]) == 4


def test_events_are_history_and_no_releases(connect: Callable[[], Client], app: Path) -> None:
    client = connect()
    client.lock()
    for number in range(1, 4):
        client.deploy(f"{number}-aaa", keep=2)
        note = {"event": "scale", "what": "worker=2", "by": {"who": "test", "run": "r"}, "facts": {}}
        for _ in range(3):
            client.call("note", **note)
    assert {p.name for p in (app / "releases").iterdir()} == {"1-aaa", "2-aaa", "3-aaa"}, "keep counts none of them"
    status = client.call("status")
    assert [entry["release"] for entry in status["history"]] == ["1-aaa", "2-aaa", "3-aaa"]
    assert {event["of"] for event in status["events"]} == {"deploy-1-aaa", "deploy-2-aaa", "deploy-3-aaa"}
    assert status["events"][-1]["serves"] == "3-aaa"
    assert len(history(app)) == 12, "all in one file, in their order"
    client.call("unlock")
    assert connect().lock()["number"] == 3


def test_a_good_release_is_exported_byte_for_byte_and_one_that_is_not_kept_is_refused(
    connect: Callable[[], Client], app: Path
) -> None:
    client = connect()
    client.lock()
    files = {"code.txt": b"x" * 300_000, "empty": b"", "more.txt": b"more"}
    env = "export A='\udcff\r\n'\n"
    client.begin("1-abc", "d1")
    client.prepare("1-abc", files, env=env, launchers={"web": "#!/bin/sh\n"}, shared=["var/log", "media"])
    with pytest.raises(RefusalError, match="not kept here"):
        client.call("export", release="1-abc")
    client.call("activate", service=None, lease=30)
    client.call("commit", deploy="d1")

    release = client.call("export", release="1-abc")
    wanted = [[m["sha256"], m["size"]] for m in release["manifest"]["members"]]
    client.call("fetch", objects=wanted)

    assert client.delivered == b"".join(files.values())
    assert (release["env"], release["launchers"]) == (env, {"web": "#!/bin/sh\n"})
    assert release["shared"] == ["media", "var/log"]
    with pytest.raises(RefusalError, match="no longer in the store"):
        client.call("fetch", objects=[["0" * 64, 1]])


def test_a_good_release_is_never_taken_apart_to_be_made_again(connect: Callable[[], Client], app: Path) -> None:
    client = connect()
    client.lock()
    client.deploy("1-abc")
    made = (app / "releases/1-abc/code.txt").stat().st_ino
    client.begin("1-abc", "d2")
    client.offer([member("code.txt", b"another")])
    assert client.call("prepare", release="1-abc", env="", variables={}, launchers={}, shared=[])["reused"]
    assert (app / "releases/1-abc/code.txt").stat().st_ino == made


def test_a_resumed_deploy_keeps_what_was_prepared(connect: Callable[[], Client], app: Path) -> None:
    client = connect()
    client.prepare_a_first()
    made = (app / "releases/1-abc/.handrail/state").stat().st_mtime_ns
    client.kill()
    other = connect()
    assert other.lock()["transaction"]["step"] == "prepared"
    other.begin("1-abc", "d1")
    other.offer([member("a", b"a")])
    assert other.call("prepare", release="1-abc", env="", variables={}, launchers={}, irreversible=[], shared=[])[
        "reused"
    ]
    assert (app / "releases/1-abc/.handrail/state").stat().st_mtime_ns == made
    other.call("activate", service=None, lease=30)
    other.call("commit", deploy="d1")
    assert serves(app) == "1-abc"


def test_a_resumed_deploy_makes_again_what_was_prepared_before_the_host_was_started_anew(
    connect: Callable[[], Client], app: Path
) -> None:
    client = connect()
    client.prepare_a_first()
    client.kill()
    # The object and the release's file are one; a power cut took what had not been flushed.
    (app / "releases/1-abc/a").chmod(0o644)
    (app / "releases/1-abc/a").write_bytes(b"")
    journal = json.loads((app / "tx/state.json").read_text())
    (app / "tx/state.json").write_text(json.dumps({**journal, "boot": "another"}))
    other = connect()
    other.prepare_a_first()
    assert (app / "releases/1-abc/a").read_bytes() == b"a"


def test_a_line_of_history_that_a_power_cut_halved_is_skipped(connect: Callable[[], Client], app: Path) -> None:
    client = connect()
    client.lock()
    client.deploy("1-abc")
    with (app / "history.jsonl").open("a") as stream:
        stream.write('{"release": "2-de')
    client.deploy("3-fff")
    assert client.call("status")["good"] == ["1-abc", "3-fff"]


def test_release_numbers_go_on_after_everything_was_pruned(connect: Callable[[], Client], app: Path) -> None:
    client = connect()
    client.lock()
    client.deploy("41-abc")
    client.call("unlock")
    assert connect().lock()["number"] == 41


def test_preflight_refuses_a_disk_without_room(connect: Callable[[], Client]) -> None:
    client = connect()
    problems = client.call("preflight", need_bytes=1 << 60, need_inodes=1, reserve_bytes=0)["problems"]
    assert len(problems) == 1
    assert "MiB free; this release needs" in problems[0]


def test_preflight_names_the_process_that_has_the_port(connect: Callable[[], Client], free_listener: int) -> None:
    service = {"check": [], "port": free_listener, "pid": ["echo", "0"]}
    problems = connect().call("preflight", need_bytes=1, need_inodes=1, reserve_bytes=0, service=service)["problems"]
    assert problems
    assert f"port {free_listener} is in use by pid {os.getpid()}" in problems[0]


def test_preflight_takes_another_apps_release_for_somebody_else(
    connect: Callable[[], Client], app: Path, free_port: int
) -> None:
    code = f"import socket, time; s = socket.create_server(('127.0.0.1', {free_port})); print(); time.sleep(60)"

    def problems_with(name: str) -> list[str]:
        environment = {**os.environ, "HANDRAIL_APP": name, "HANDRAIL_RELEASE": "3-abc", "PYTHONUNBUFFERED": "1"}
        with subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE) as server:
            assert server.stdout is not None
            server.stdout.readline()
            service = {"check": [], "port": free_port, "pid": ["echo", "0"]}
            found = connect().call("preflight", need_bytes=1, need_inodes=1, reserve_bytes=0, service=service)
            server.kill()
        problems: list[str] = found["problems"]
        return problems

    (problem,) = problems_with("blog")
    assert f"port {free_port} is in use by pid " in problem
    assert problems_with("shop") == []


@pytest.fixture
def free_listener() -> Iterator[int]:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_migration_that_a_signal_ends_is_a_failure_that_names_it(connect: Callable[[], Client], app: Path) -> None:
    client = connect()
    client.lock()
    client.begin("1-abc", "d1")
    client.prepare("1-abc", {"a": b"a"}, launchers={"migrate": "#!/bin/sh\necho working\nkill -9 $$\n"})
    with pytest.raises(RefusalError, match=r"killed by signal 9 \(SIGKILL: out of memory\?\)") as refused:
        client.call("migrate", command="python manage.py migrate")
    assert refused.value.error["lines"] == ["working"]
    assert refused.value.error["command"] == "python manage.py migrate"


def test_a_migration_whose_agent_was_killed_holds_the_lock_until_it_ends(
    connect: Callable[[], Client], app: Path
) -> None:
    client = connect()
    client.lock()
    client.begin("1-abc", "d1")
    wait = f"until test -e {app}/go; do sleep 0.02; done"
    # What it prints, nobody reads any more.
    script = f"#!/bin/sh\necho began > {app}/log\n{wait}\necho a word\necho ended >> {app}/log\n"
    client.prepare("1-abc", {"a": b"a"}, launchers={"migrate": script})
    client.send("migrate", command="migrate")
    wait_until(lambda: (app / "log").exists())
    client.kill()

    other = connect()
    with pytest.raises(RefusalError) as refused:
        other.lock()
    assert (refused.value.kind, refused.value.error["migrating"]) == ("locked", True)
    assert refused.value.error["holder"]["who"] == "test"
    assert other.call("status")["lock"]["held"]
    (app / "go").touch()
    other.lock(wait=10)
    assert (app / "log").read_text().split() == ["began", "ended"]
    assert other.begin("2-def", "d2")["swept"] == ["1-abc"]


@pytest.mark.parametrize("is_resumed", [True, False])
def test_what_a_migration_did_after_its_agent_was_killed_is_in_the_history(
    connect: Callable[[], Client], app: Path, *, is_resumed: bool
) -> None:
    client = connect()
    client.lock()
    client.begin("1-abc", "d1")
    state = app.parent / "state"
    state.write_text("0001")
    wait = f"touch {app}/began; until test -e {app}/go; do sleep 0.02; done"
    launchers = {
        "migrate": f"#!/bin/sh\n{wait}\necho 0002 > {state}\n",
        "migrate-state": f"#!/bin/sh\ncat {state}\n",
    }
    release: dict[str, Any] = {"launchers": launchers, "irreversible": ["0001", "0002"]}
    client.prepare("1-abc", {"a": b"a"}, **release)
    client.send("migrate", command="migrate")
    wait_until(lambda: (app / "began").exists())
    client.kill()
    (app / "go").touch()

    other = connect()
    other.lock(wait=10)
    after = "0002" if is_resumed else None
    if is_resumed:
        other.begin("1-abc", "d1")
        other.prepare("1-abc", {"a": b"a"}, **release)
        assert other.call("migrate", command="migrate")["migrated"]
        other.call("activate", service=None, lease=30)
        other.call("commit", deploy="d1")
    else:
        other.begin("2-def", "d2")
    (entry,) = connect().hello["history"]
    assert entry["result"] == ("good" if is_resumed else "aborted")
    assert (entry["migrated"], entry["irreversible"]) == (True, ["0002"])
    assert entry["schema"] == {"before": "0001", "after": after}


def test_a_daemon_that_a_migration_left_behind_holds_no_lock(connect: Callable[[], Client], app: Path) -> None:
    client = connect()
    client.lock()
    client.begin("1-abc", "d1")
    script = f"#!/bin/sh\nsleep 60 >/dev/null 2>&1 &\necho $! > {app}/daemon\n"
    client.prepare("1-abc", {"a": b"a"}, launchers={"migrate": script})
    client.call("migrate", command="migrate")
    client.call("unlock")
    try:
        connect().lock()
    finally:
        os.kill(int((app / "daemon").read_text()), signal.SIGKILL)


def test_what_a_migration_had_done_when_it_failed_is_in_the_history(connect: Callable[[], Client], app: Path) -> None:
    client = connect()
    client.lock()
    client.begin("1-abc", "d1")
    state = app.parent / "state"
    state.write_text("0001")
    launchers = {
        "migrate": f"#!/bin/sh\necho applying 0002_drop\necho 0002 > {state}\necho applying 0003\nexit 1\n",
        "migrate-state": f"#!/bin/sh\ncat {state}\n",
    }
    client.prepare("1-abc", {"a": b"a"}, launchers=launchers, irreversible=["0002_drop", "0003_drop"])
    with pytest.raises(RefusalError, match="exited with 1") as refused:
        client.call("migrate", command="migrate")
    schema = {"before": "0001", "after": "0002"}
    facts = {"migrated": True, "schema": schema, "irreversible": ["0002_drop", "0003_drop"]}
    assert {key: refused.value.error[key] for key in facts} == facts
    client.call("return", deploy="d1", reason="the migration failed", result="failed")
    (entry,) = connect().hello["history"]
    assert {key: entry[key] for key in facts} == facts


class FakeManager:
    """A process manager of three shell lines: enough to start a process, stop it and tell its pid."""

    def __init__(self, app: Path, port: int) -> None:
        pidfile = app / "shared/pid"
        start = f"{shlex.quote(str(app / 'current/.handrail/run-web'))} >/dev/null 2>&1 & echo $! > {pidfile}"
        stop = f"test -s {pidfile} && kill $(cat {pidfile}); rm -f {pidfile}; true"
        self.spec = {
            "name": "shop-web",
            "files": [],
            "reload": [],
            "restart": [["sh", "-c", f"{stop}; {start}"]],
            "stop": [["sh", "-c", stop]],
            "pid": ["sh", "-c", f"test -s {pidfile} && kill -0 $(cat {pidfile}) && cat {pidfile} || echo 0"],
            "logs": ["echo", "the last log line"],
            "check": [],
            "port": port,
            "health": "/",
            "health_status": 200,
            "health_timeout": 5.0,
            "health_interval": 0.02,
            "stop_timeout": 5,
        }


def test_the_last_words_of_a_service_say_once_what_it_said_over_and_over(tmp_path: Path) -> None:
    asked = [f"06:18:{second} GET /up 503" for second in range(10, 70)]
    (tmp_path / "log").write_text("\n".join(["no table named visits", *asked, "stopped"]) + "\n")
    words = Service(None, {"logs": ["tail", "-n", "{lines}", str(tmp_path / "log")]}).last_words()
    assert words == ["no table named visits", "06:18:10 GET /up 503", "(59 more like it)", "stopped"]


def launcher(release: str, port: int, *, broken: bool = False) -> str:
    code = "import http.server as h,sys\n" if not broken else "raise SystemExit(3)\n"
    code += f"h.ThreadingHTTPServer(('127.0.0.1', {port}), h.SimpleHTTPRequestHandler).serve_forever()"
    exports = f"export HANDRAIL_RELEASE={release} HANDRAIL_APP=shop"
    return f"#!/bin/sh\n{exports}\nexec {sys.executable} -c {shlex.quote(code)}\n"


@pytest.fixture
def free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@pytest.fixture
def manager(app: Path, free_port: int) -> Iterator[FakeManager]:
    fake = FakeManager(app, free_port)
    yield fake
    subprocess.run(fake.spec["stop"][0], check=False, stderr=subprocess.DEVNULL)


def roll_out(client: Client, release: str, manager: FakeManager, script: str) -> None:
    client.begin(release, f"deploy-{release}")
    client.prepare(release, {"code.txt": release.encode()}, launchers={"web": script})
    client.call("activate", service=manager.spec, lease=30)


def test_success_means_that_the_running_process_is_the_new_release(
    connect: Callable[[], Client], app: Path, manager: FakeManager
) -> None:
    client = connect()
    client.lock()
    # An `inv scale web=N` was cut off: what starts now has that number.
    mark = app / "scale.web"
    mark.touch()
    roll_out(client, "1-abc", manager, launcher("1-abc", manager.spec["port"]))
    report = client.call("verify")
    assert (report["running_release"], report["health"]["status"]) == ("1-abc", 200)
    assert mark.exists()
    client.call("commit", deploy="deploy-1-abc")
    assert not mark.exists()


def test_an_old_process_that_still_answers_is_no_success(
    connect: Callable[[], Client], app: Path, manager: FakeManager
) -> None:
    client = connect()
    client.lock()
    roll_out(client, "1-abc", manager, launcher("1-abc", manager.spec["port"]))
    client.call("verify")
    client.call("commit", deploy="deploy-1-abc")
    manager.spec["restart"] = [["true"]]
    manager.spec["health_timeout"] = 0.3
    roll_out(client, "2-def", manager, launcher("2-def", manager.spec["port"]))
    with pytest.raises(RefusalError, match="reports release 1-abc"):
        client.call("verify")


def test_a_release_that_fails_its_check_gives_its_log_and_the_old_one_serves_again(
    connect: Callable[[], Client], app: Path, manager: FakeManager
) -> None:
    client = connect()
    client.lock()
    roll_out(client, "1-abc", manager, launcher("1-abc", manager.spec["port"]))
    client.call("verify")
    client.call("commit", deploy="deploy-1-abc")
    manager.spec["health_timeout"] = 0.5
    roll_out(client, "2-def", manager, launcher("2-def", manager.spec["port"], broken=True))
    with pytest.raises(RefusalError) as refused:
        client.call("verify")
    assert (refused.value.kind, refused.value.error["lines"]) == ("unhealthy", ["the last log line"])
    outcome = client.call("return", deploy="deploy-2-def", reason="unhealthy")
    assert (outcome["ok"], outcome["serves"]) == (True, "1-abc")
    assert client.call("status", service=manager.spec)["service"]["running_release"] == "1-abc"


def test_a_second_agent_goes_on_with_the_transaction_of_one_that_was_cut_off_and_keeps_its_lease(
    connect: Callable[[], Client], app: Path, manager: FakeManager
) -> None:
    client = connect()
    client.lock()
    client.begin("1-abc", "d1")
    client.prepare("1-abc", {"code.txt": b"1"}, launchers={"web": launcher("1-abc", manager.spec["port"])})
    client.call("activate", service=manager.spec, lease=1.5)
    client.kill()

    other = connect()
    with pytest.raises(RefusalError, match="lock is not held"):
        other.call("settle")
    assert other.call("rejoin", deploy="another") == {}
    with pytest.raises(RefusalError, match="lock is not held"):
        other.call("settle")
    other.call("rejoin", deploy="d1")
    end = time.monotonic() + 2.5
    while time.monotonic() < end:
        other.stdin.write(b'{"op":"ping"}\n')
        other.stdin.flush()
        time.sleep(0.1)
    other.call("verify")
    assert other.call("settle") == {"processes": []}
    other.call("commit", deploy="d1")
    assert (app / "current").readlink().name == "1-abc"
    with pytest.raises(RefusalError, match="lock is not held"):
        other.call("settle")
    connect().lock(wait=5)
