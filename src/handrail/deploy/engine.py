"""A deploy and a rollback, as lists of named steps over all hosts.

Two phases: every host is prepared before any is activated; and if a host fails after that, all return. What
a failure means follows from one question, asked in `_Run.fail`: had activation begun? If not, the hosts forget
the new release (exit code 4). If so, they return to the release that they had (5), and where one cannot, a
person is needed (6). The hosts know all this too: see `handrail.agent`, which returns by itself when this
process dies.
"""

from __future__ import annotations

import getpass
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handrail import agent
from handrail.config.batches import split
from handrail.deploy.fleet import Fleet
from handrail.deploy.interrupts import interruptible, uninterruptible
from handrail.deploy.migrations import lower, migrations_after, schema_goal
from handrail.deploy.parcels import Parcels
from handrail.deploy.release import (
    environment_text,
    launchers_for,
    release_id,
    release_number,
    service_for,
    variable_digests,
)
from handrail.deploy.session import HostError, Session, pack
from handrail.deploy.timeline import skew_ms
from handrail.errors import (
    DeployFailedError,
    DeployReturnedError,
    HandrailError,
    InterruptedByUserError,
    NeedsPersonError,
    PreflightError,
    TaskFailedError,
    UnreachableError,
    did_you_mean,
)

if TYPE_CHECKING:
    from handrail.build.bundle import Bundle, Member
    from handrail.config.target import Target
    from handrail.config.values import Value
    from handrail.ui import Printer

DEPLOY_PHASES = [
    "connect",
    "preflight",
    "lock",
    "upload",
    "prepare",
    "migrate",
    "activate",
    "verify",
    "commit",
]
ROLLBACK_PHASES = ["lock", "activate", "verify", "commit"]
MIB = 1 << 20
# Unpacked wheels and bytecode take about this much of their packed size.
UNPACKED = 4
UPLOAD_ATTEMPTS = 3

HookRunner = Callable[[str, Mapping[str, str]], None]


@dataclass
class Job:
    """What `deploy` and `roll_back` work on.

    Args:
        hosts: the chosen hosts, a subset of the target's.
        run_hooks: called with a moment (``before_upload`` …) and the facts; raises to stop the deploy.
        wait: seconds to wait for somebody else's lock.
        skip_unreachable: go on without the hosts that cannot be reached, and remember which they were.
        hold: end with the new release proved beside the old one, and the traffic still on the old.
        with_migrations: a rollback brings the schema back too, before the code.
    """

    target: Target
    root: Path
    printer: Printer
    hosts: list[str]
    run_hooks: HookRunner = lambda _moment, _facts: None
    wait: float = 0.0
    resume: bool = False
    skip_unreachable: bool = False
    hold: bool = False
    with_migrations: bool = False


@dataclass
class _Run:
    """The state of one run; its methods are the steps."""

    job: Job
    fleet: Fleet
    kind: str
    deploy: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    release: str = ""
    commit_sha: str = ""
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    services: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    previous: dict[str, str] = field(default_factory=dict)
    locked: bool = False
    begun: bool = False
    activated: set[str] = field(default_factory=set)
    """Hosts where activation has begun: they return, the others forget."""
    moving: set[str] = field(default_factory=set)
    """Hosts where the new release stands beside the old one, so that traffic has to move."""
    switched: dict[str, float] = field(default_factory=dict)
    """When hosts switched, by this machine's clock, in seconds since the fleet's origin."""
    committed: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    """Hosts that could not be reached and were left out, each with the reason."""
    failures: dict[str, HandrailError] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    """Hosts that failed within the budget and keep the release that they had, each with the reason."""
    canary: list[dict[str, Any]] = field(default_factory=list)
    """What was measured in each step of a canary, with the verdict."""
    health: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    started: float = field(default_factory=time.time)
    bundle: Bundle | None = None
    migrate_skipped: bool = False
    schema: dict[str, str] | None = None
    """What ``migrate_state`` printed before and after the migration of this deploy."""
    offered: dict[str, int] = field(default_factory=dict)
    verifying: dict[str, list[int]] = field(default_factory=dict)
    """Requests that were posted with the one before them, by host: a round trip less."""
    display: ExitStack = field(default_factory=ExitStack)

    # -- steps

    def show_board(self, phases: Sequence[str]) -> None:
        """Show progress from here on; what asks the user something must come before."""
        if self.job.target.strategy in agent.SIDE_BY_SIDE:
            # Two instances side by side: the verified one gets the traffic, the other one ends after the commit.
            phases = [*phases[:-1], *(["hold"] if self.job.hold else [*self.baking, "switch", "commit", "drain"])]
        board = self.display.enter_context(self.job.printer.board(self.fleet.hosts, phases))
        self.display.enter_context(self.fleet.showing(board))

    @property
    def baking(self) -> list[str]:
        """The phase in which a canary is watched; a rollback goes to what is known, and has none."""
        return ["bake"] if self.job.target.strategy == "canary" and self.kind == "deploy" else []

    def step(self, phase: str, work: Callable[[Session], Any], hosts: Sequence[str] | None = None) -> dict[str, Any]:
        """Run one phase on the hosts; the first failure is the phase's."""
        results, failures = self.fleet.each(phase, work, hosts)
        if failures:
            raise _first(failures)
        return results

    def connect(self) -> None:
        facts, failures = self.fleet.connect()
        gone = {host: e.message for host, e in failures.items() if _is_unreachable(e)}
        if self.job.skip_unreachable and facts and len(gone) == len(failures):
            self.skipped = gone
            self.fleet.drop(gone)
        elif failures:
            raise _preflight(failures, "connect")
        self.facts = facts
        target = self.job.target
        for host in self.fleet.hosts:
            try:
                self.services[host] = service_for(target, facts[host])
            except HandrailError as error:
                error.host = host
                raise
            self.previous[host] = facts[host]["current"]

    def lock(self, what: str) -> None:
        started = time.monotonic()
        holder = {"who": who(), "since": time.time(), "what": what, "deploy": self.deploy}
        try:
            answers = self.fleet.lock(holder, self.job.wait)
        except HostError as error:
            if error.kind == "return-failed":
                raise NeedsPersonError(
                    f"{error.host}: {error.message}",
                    host=error.host,
                    step="lock",
                    next_step=f"look at: inv logs --env {self.job.target.environment}",
                ) from None
            raise _preflight({error.host: error}, "lock") from None
        self.locked = True
        for host, answer in answers.items():
            if answer["recovered"]:
                self.job.printer.warn(f"{host}: {answer['recovered']}")
            self.facts[host]["transaction"] = answer["transaction"]
            self.facts[host]["number"] = answer["number"]
            took = self.fleet.note_time(host, "lock", started)
            if self.fleet.board:
                self.fleet.board.finish(host, "lock", took)

    def begin(self, bundle: Bundle | None) -> None:
        """Open the transaction everywhere; from here on hosts remember this deploy."""
        digests = [member.sha256 for member in bundle.objects()] if bundle else []
        state = {
            "deploy": self.deploy,
            "release": self.release,
            "kind": self.kind,
            "who": who(),
            "since": self.started,
            "commit": bundle.commit if bundle else "",
            "version": bundle.version if bundle else "",
            "bundle": bundle.digest if bundle else "",
        }
        self.begun = True
        keep = self.job.target.keep
        manifest = pack(bundle.manifest()) if bundle else b""

        def work(session: Session) -> dict[str, Any]:
            begin = session.post("begin", state=state, keep=keep, digests=digests)
            if manifest:
                self.offered[session.host] = session.post("offer", payload=manifest, after=begin)
            return session.wait(begin)

        answers = self.step("", work)
        for host, answer in answers.items():
            self.previous[host] = answer["state"]["from"] or ""
            self.commit_sha = answer["state"].get("commit") or ""
            self.migrate_skipped = self.migrate_skipped or bool(answer["state"].get("migrate_ran"))

    def roll_out(self) -> None:
        """Activate and verify: all hosts at once, or batch by batch where the environment rolls."""
        target = self.job.target
        batches = [self.fleet.hosts]
        if target.strategy == "rolling":
            batches = split(self.fleet.hosts, target.batches)
        for number, batch in enumerate(batches):
            if number and target.batch_wait and self.kind == "deploy":
                # Not a sleep: Ctrl-C is answered at once, and the leases are renewed meanwhile.
                threading.Event().wait(target.batch_wait)
            self.work_on(batch, "activate", self.activate)
            self.work_on([host for host in batch if host not in self.left_out], "verify", self.verify)
        if self.left_out and set(self.left_out) >= set(self.fleet.hosts):
            raise next(iter(self.failures.values()))
        if self.job.hold:
            return
        if self.baking:
            from handrail.deploy.baking import bake

            bake(self)
        # Every new instance is well before any traffic moves; then it moves on all hosts at once.
        self.step(
            "switch" if target.strategy in agent.SIDE_BY_SIDE else "",
            self.switch,
            sorted(self.moving, key=self.fleet.hosts.index),
        )

    def activate(self, session: Session) -> None:
        self.activated.add(session.host)
        number = session.post(
            "activate",
            service=self.services[session.host],
            lease=self.job.target.lease,
            promote=self.deploy if self.kind == "promote" else "",
            who=who(),
        )
        verify = session.post("verify", after=number)
        self.verifying[session.host] = [verify]
        answer = session.wait(number)
        self.note_switch(session.host, answer["switched_ago"])
        if answer["moves"]:
            self.moving.add(session.host)
        else:
            # Where no traffic moves, the release serves: its background processes follow as soon as it is well.
            self.verifying[session.host].append(session.post("settle", after=verify))

    def switch(self, session: Session) -> None:
        number = session.post("switch")
        settle = session.post("settle", after=number)
        self.note_switch(session.host, session.wait(number)["switched_ago"])
        session.wait(settle)

    def note_switch(self, host: str, ago: float | None) -> None:
        """Remember when a host switched: hosts' clocks differ, so it is when the answer came, less what it says."""
        if ago is not None:
            self.switched[host] = round(time.monotonic() - self.fleet.origin - ago, 3)

    def times(self, host: str, phase: str) -> dict[str, Any]:
        """Return the times that a host is to keep, with ``phase`` beginning now."""
        self.fleet.starts[host].setdefault(phase, round(time.monotonic() - self.fleet.origin, 3))
        return {**self.fleet.times(host), "switched": self.switched.get(host)}

    def hold(self) -> None:
        """Leave the verified release beside the old one; from here on no lease runs on any host."""
        # An interrupt between two hosts would leave some that hold it and some that do not.
        with uninterruptible():
            self.step(
                "hold",
                lambda session: session.call(
                    "hold", deploy=self.deploy, who=who(), times=self.times(session.host, "hold")
                ),
            )

    def drain(self) -> None:
        """Stop what no longer serves. The release is committed: a failure here is a warning."""

        def work(session: Session) -> None:
            if session.host in self.committed:
                session.call("retire", service=self.services[session.host], drain=self.job.target.drain)

        phase = "drain" if self.job.target.strategy in agent.SIDE_BY_SIDE else ""
        _, failures = self.fleet.each(phase, work, [host for host in self.fleet.hosts if host in self.moving])
        for host, error in failures.items():
            self.job.printer.warn(f"{host}: the old instance was not stopped: {error.message}; the next deploy does it")

    def verify(self, session: Session) -> None:
        look, *rest = self.verifying.pop(session.host)
        self.health[session.host] = session.wait(look).get("health")
        for number in rest:
            session.wait(number)

    def work_on(self, hosts: list[str], phase: str, work: Callable[[Session], None]) -> None:
        """Run one phase on some hosts; within the failure budget a host that fails returns alone."""
        _, failures = self.fleet.each(phase, work, hosts)
        if not failures:
            return
        rolling = self.job.target.strategy == "rolling"
        budget = self.job.target.max_failed if rolling else 0
        self.failures.update(failures)
        if len(self.left_out) + len(failures) > budget:
            raise _first(failures)
        for host, error in failures.items():
            self.left_out[host] = error.message
            self.job.printer.warn(f"{host}: {error.message}; it returns alone ({len(self.left_out)} of {budget} may)")
        states, broken = self.bring_back("left out: the other hosts go on", list(failures))
        if broken:
            host = broken[0]
            raise HostError(host, "return-failed", f"left out, and could not return: {states[host]}")

    def commit(self) -> None:
        def work(session: Session) -> dict[str, Any]:
            missing = sorted({*self.skipped, *self.left_out})
            times = self.times(session.host, "commit")
            return self.insist(session, "commit", deploy=self.deploy, times=times, missing=missing, canary=self.canary)

        # An interrupt between two hosts' commits would leave a mixed fleet.
        with uninterruptible():
            staying = [host for host in self.fleet.hosts if host not in self.left_out]
            results, failures = self.fleet.each("commit", work, staying)
        self.committed = list(results)
        if failures:
            raise _first(failures)

    def insist(self, session: Session, op: str, **params: Any) -> dict[str, Any]:
        """Call, and where the connection is lost connect again: a decision must arrive before the lease ends."""
        deadline = time.monotonic() + self.job.target.lease
        while True:
            try:
                if not session.is_open:
                    session.reopen()
                return session.call(op, **params)
            except HandrailError as error:
                lost = isinstance(error, PreflightError) or getattr(error, "kind", "") == "lost"
                if not lost or time.monotonic() > deadline:
                    raise
                session.close()
                threading.Event().wait(0.5)

    # -- failure

    def fail(self, error: BaseException) -> HandrailError:
        """Bring every host back; return the error that says what the fleet's state is now."""
        interrupted = isinstance(error, KeyboardInterrupt)
        cause = error if isinstance(error, HandrailError) else None
        why = "interrupted" if interrupted else (cause.message if cause else f"{type(error).__name__}: {error}")
        if not self.begun:
            if interrupted:
                return InterruptedByUserError("interrupted; nothing was changed", step="connect")
            if cause is None:
                raise error
            if isinstance(cause, HostError | TaskFailedError):
                return _preflight({cause.host or "this machine": cause}, cause.step)
            return cause
        where = f"{cause.host}: " if cause and cause.host and not why.startswith(cause.host) else ""
        with uninterruptible():
            what = "returning to the release that served before" if self.activated else "cleaning up"
            self.job.printer.info(f"interrupted; {what}" if interrupted else what)
            states, broken = self.bring_back(f"{where}{why}")
        facts: dict[str, Any] = {
            "host": cause.host if cause else "",
            "step": cause.step if cause else "",
            "command": cause.command if cause else "",
            "returncode": cause.returncode if cause else None,
            "lines": cause.lines if cause else (),
            "host_states": states,
        }
        env = self.job.target.environment
        if broken:
            facts["host"] = broken[0]
            return NeedsPersonError(
                f"{broken[0]}: could not return to the release that served before, after: {why}",
                next_step=f"inv status --env {env}, then on the host: inv logs --env {env}",
                **facts,
            )
        if interrupted:
            facts["step"] = ""
            return InterruptedByUserError("interrupted; every host serves what it served before", **facts)
        kind = DeployReturnedError if self.activated else DeployFailedError
        return kind(
            f"{where}{why}",
            next_step="fix the cause, then run it again; "
            + (
                f"the migration stays, with the schema at {self.schema['after']!r}"
                if self.schema and self.schema["before"] != self.schema["after"]
                else "nothing is left to clean up"
            ),
            **facts,
        )

    def bring_back(self, reason: str, hosts: Sequence[str] | None = None) -> tuple[dict[str, str], list[str]]:
        """Return each host; give one sentence on each host's state, and the hosts that need a person."""

        def work(session: Session) -> dict[str, Any]:
            if self.verifying.pop(session.host, None) is not None:
                # Nobody wants to know any more whether the release becomes healthy.
                session.cancel()
            session.revive()
            if session.host in self.committed:
                # It had been told to stay before another host failed: only a rollback of its own brings it back.
                return self.undo_committed(session)
            times = self.times(session.host, "return")
            request: dict[str, Any] = {"deploy": self.deploy, "reason": reason, "result": "failed", "times": times}
            if session.host in self.activated:
                return self.insist(session, "return", canary=self.canary, **request)
            try:
                return session.call("return", **request)
            except HostError as error:
                if error.kind != "lost":
                    raise
                # Its agent ends with the connection, and its lock; nothing was switched, the next deploy sweeps.
                return {"serves": self.previous.get(session.host, ""), "ok": True, "why": ""}

        results, failures = self.fleet.each("", work, hosts)
        states, broken = {}, []
        for host in hosts if hosts is not None else self.fleet.hosts:
            outcome = results.get(host)
            if outcome is None:
                if host in self.activated:
                    broken.append(host)
                    states[host] = f"unknown ({failures[host].message}); it returns by itself when its lease runs out"
                else:
                    states[host] = f"serves {self.previous.get(host) or 'nothing'}, as before"
            elif outcome["ok"]:
                word = "returned to" if host in self.activated else "still serves"
                states[host] = f"{word} {outcome['serves'] or 'nothing (no release before)'}"
            else:
                broken.append(host)
                states[host] = f"current is {outcome['serves'] or 'nothing'}, not healthy: {outcome['why']}"
        return states, broken

    def undo_committed(self, session: Session) -> dict[str, Any]:
        """Roll one committed host back, as a transaction of its own."""
        if not session.is_open:
            session.reopen()
        previous = self.previous[session.host]
        holder = {"who": who(), "since": time.time(), "what": "fleet rollback", "deploy": self.deploy}
        session.call("lock", holder=holder, wait=10)
        undo = f"{self.deploy}-undo"
        state = {"deploy": undo, "release": previous, "kind": "rollback", "who": who(), "since": time.time()}
        if not previous:
            return {
                "serves": self.release,
                "ok": False,
                "why": "it had no release before and has committed this one",
            }
        session.call("begin", state=state, keep=self.job.target.keep, digests=[])
        self.activated.add(session.host)
        service = self.services[session.host]
        answer = session.call("activate", service=service, lease=self.job.target.lease)
        session.call("verify")
        if answer["moves"]:
            session.call("switch")
        session.call("settle")
        session.call("commit", deploy=undo)
        session.call("retire", service=service, drain=self.job.target.drain)
        return {"serves": previous, "ok": True, "why": ""}

    # -- result

    def hook_facts(self, step: str) -> dict[str, str]:
        target = self.job.target
        return {
            "HANDRAIL_ENV": target.environment,
            "HANDRAIL_APP": target.app,
            "HANDRAIL_RELEASE": self.release,
            "HANDRAIL_COMMIT": self.bundle.commit if self.bundle else self.commit_sha,
            "HANDRAIL_BUNDLE": self.bundle.digest if self.bundle else "",
            "HANDRAIL_HOSTS": " ".join(self.fleet.hosts),
            "HANDRAIL_STEP": step,
            "HANDRAIL_PREVIOUS": next((p for p in self.previous.values() if p), ""),
        }

    def hook(self, moment: str) -> None:
        self.job.run_hooks(moment, self.hook_facts(moment))

    def undo(self) -> str:
        """Return the command that takes this run back."""
        command = f"inv rollback --env {self.job.target.environment}"
        previous = next((p for p in self.previous.values() if p), "")
        return f"{command} --to {previous}" if self.kind == "rollback" else command

    def document(self, result: str, error: HandrailError | None = None) -> dict[str, Any]:
        """Return the run as the one JSON document that ``--json`` prints."""
        target = self.job.target
        hosts = []
        for host in self.fleet.hosts:
            session = self.fleet.sessions[host]
            arrived = result == "good" and host not in self.left_out
            hosts.append(
                {
                    "host": host,
                    "from": self.previous.get(host) or None,
                    "to": self.release if arrived else (self.previous.get(host) or None),
                    "seconds": self.fleet.seconds[host],
                    "starts": self.fleet.starts[host],
                    "switched": self.switched.get(host),
                    "health": self.health.get(host),
                    "bytes_sent": session.bytes_sent,
                    "channels": session.channels,
                    "state": (error.host_states.get(host, "") if error else ""),
                }
            )
        return {
            "command": self.kind,
            "environment": target.environment,
            "app": target.app,
            "result": result,
            "release": self.release,
            "previous": next((p for p in self.previous.values() if p), None),
            "commit": self.bundle.commit if self.bundle else self.commit_sha,
            "bundle": self.bundle.digest if self.bundle else "",
            "url": target.url,
            "seconds": round(time.time() - self.started, 3),
            "switch_skew_ms": skew_ms(self.switched.values()),
            "hosts": hosts,
            "left_out": {**self.skipped, **self.left_out},
            "canary": self.canary,
            "error": {"message": error.message, "host": error.host, "step": error.step} if error else None,
            "exit_code": error.exit_code if error else 0,
            "schema": self.schema,
            "undo": self.undo() if result == "good" else "",
        }


def deploy(job: Job, bundle: Bundle, variables: Mapping[str, Value]) -> dict[str, Any]:
    """Bring ``bundle`` to every host of ``job`` and return the run's document.

    Raises:
        HandrailError: with the exit code of DESIGN's table; its ``document`` attribute holds the run's document.
    """
    with _run(job, "deploy") as run:
        run.show_board(DEPLOY_PHASES)
        run.bundle = bundle
        run.connect()
        preflight(run, bundle)
        run.lock(f"deploy to {job.target.environment}")
        _choose_release(run, bundle)
        run.hook("before_upload")
        run.begin(bundle)
        upload(run, bundle)
        run.hook("after_upload")
        prepare(run, bundle, variables)
        migrate(run)
        run.hook("before_activate")
        run.roll_out()
        if job.hold:
            run.hold()
            return run.document("held")
        run.hook("after_activate")
        run.hook("before_commit")
        run.commit()
        run.drain()
        return run.document("good")


def roll_back(job: Job, to: str, confirm: Callable[[str, list[str]], None]) -> dict[str, Any]:
    """Make the fleet serve an earlier good release; needs neither git, bundle nor package index.

    Args:
        to: a release id; empty: the release that served before this one on all hosts.
        confirm: called with the goal and the releases whose migrations it leaves behind; raises to stop.
    """
    with _run(job, "rollback") as run:
        run.connect()
        run.release = rollback_goal(run.facts, to)
        schema = ""
        if job.with_migrations:
            schema = schema_goal(run.facts, run.release, run.fleet.hosts, target_hosts=job.target.hosts)
            run.show_board(["lock", "migrate", *ROLLBACK_PHASES[1:]])
        else:
            confirm(run.release, migrations_after(run.facts, run.release))
            run.show_board(ROLLBACK_PHASES)
        run.lock(f"rollback of {job.target.environment} to {run.release}")
        run.begin(None)
        run.hook("before_activate")
        if job.with_migrations:
            lower(run, schema)
        run.roll_out()
        run.hook("after_activate")
        run.hook("before_commit")
        run.commit()
        run.drain()
        return run.document("good")


def abort(job: Job) -> dict[str, str]:
    """End a deploy whose client died: return activated hosts, sweep prepared ones. One sentence a host."""
    states: dict[str, str] = {}
    with Fleet(job.target, job.root, job.hosts) as fleet:
        facts, failures = fleet.connect()
        if failures:
            raise _preflight(failures, "connect")
        for host, fact in facts.items():
            state = fact["transaction"]
            session = fleet.sessions[host]
            if not state or state["step"] == "returned":
                states[host] = f"nothing to abort; serves {fact['current'] or 'nothing'}"
                continue
            if state["step"] not in agent.ACTIVE or not fact["lock"]["held"]:
                # Taking the lock finishes what was activated; the rest is swept below.
                fleet_lock(session, job)
            outcome = session.call("return", deploy=state["deploy"], reason="aborted", result="aborted")
            states[host] = f"aborted {state['release']}; serves {outcome['serves'] or 'nothing'}"
            if not outcome["ok"]:
                raise NeedsPersonError(f"{host}: {outcome['why']}", host=host, step="abort", host_states=states)
    return states


def fleet_lock(session: Session, job: Job) -> None:
    """Take one host's lock for an abort; a living deploy is not aborted behind its back."""
    from handrail.deploy.fleet import locked_error

    try:
        holder = {"who": who(), "since": time.time(), "what": "abort"}
        session.call("lock", holder=holder, wait=job.wait)
    except HostError as error:
        if error.kind == "locked":
            raise locked_error(error) from None
        raise


def preflight(run: _Run, bundle: Bundle) -> None:
    """Find every reason why this deploy would fail, on all hosts, before anything is changed."""
    from handrail.build import check_wheels

    target = run.job.target
    size = sum(member.size for member in bundle.objects())
    wheels = sum(member.size for member in bundle.members if member.kind == "wheel")
    request: dict[str, Any] = {
        "need_bytes": size + wheels * UNPACKED,
        "need_inodes": len(bundle.members) * 2 + (wheels // 4096),
        "reserve_bytes": target.reserve * MIB,
        "python": bundle.python,
    }

    def work(session: Session) -> None:
        facts = run.facts[session.host]
        problems = list(check_wheels(bundle, facts)) if bundle.python else []
        problems += session.call("preflight", service=run.services[session.host], **request)["problems"]
        if problems:
            raise PreflightError(f"{session.host}: {problems[0]}", host=session.host, lines=problems[1:])

    _, failures = run.fleet.each("preflight", work)
    if failures:
        raise _preflight(failures, "preflight")


def upload(run: _Run, bundle: Bundle) -> None:
    """Send what each host lacks. A cut connection is opened again and goes on where its objects ended."""
    objects = bundle.objects()
    target = run.job.target

    def once(session: Session) -> None:
        number = run.offered.pop(session.host, None) or session.post("offer", payload=pack(bundle.manifest()))
        missing = [objects[index] for index in session.wait(number)["missing"]]
        for compressed in (True, False):
            part = [m for m in missing if (m.kind == "file") is compressed]
            if part:
                parcel = [(m.sha256, m.size, _source(m)) for m in part]
                session.put(parcel, parcels.frames(parcel, compressed=compressed), compressed=compressed)

    def work(session: Session) -> None:
        for attempt in range(1, UPLOAD_ATTEMPTS + 1):
            try:
                if not session.is_open:
                    run.offered.pop(session.host, None)
                    session.reopen()
                    holder = {"who": who(), "since": time.time(), "what": "deploy", "deploy": run.deploy}
                    session.call("lock", holder=holder, wait=target.lease)
                    state = {"deploy": run.deploy, "release": run.release}
                    session.call("begin", state=state, keep=target.keep, digests=[])
                once(session)
                return
            except HostError as error:
                if error.kind != "lost" or attempt == UPLOAD_ATTEMPTS:
                    raise
                session.close()
                if run.fleet.board:
                    run.fleet.board.note(session.host, "the connection was cut; sending the rest")

    with Parcels() as parcels:
        _, failures = run.fleet.each("upload", work, narrow=True)
    if failures:
        raise _first(failures)


def prepare(run: _Run, bundle: Bundle, variables: Mapping[str, Value]) -> None:
    """Make the release complete on every host before any host is switched."""
    target = run.job.target
    request: dict[str, Any] = {
        "release": run.release,
        "env": environment_text(variables),
        "variables": variable_digests(variables),
        "launchers": launchers_for(target, run.release),
        "shared": list(target.service.shared) if target.service else [],
    }
    run.step("prepare", lambda session: session.call("prepare", **request))


def migrate(run: _Run) -> None:
    """Run the migration once, on the first host."""
    service = run.job.target.service
    if service is None or not service.migrate or run.migrate_skipped:
        return
    printer = run.job.printer

    def work(session: Session) -> None:
        answer = session.call(
            "migrate",
            command=service.migrate,
            on_event=lambda e: printer.output(e.get("line", ""), host=session.host),
        )
        run.schema = answer["schema"]

    run.step("migrate", work, run.fleet.hosts[:1])


def rollback_goal(facts: Mapping[str, Mapping[str, Any]], to: str) -> str:
    """Choose the release that a rollback goes to: good on all hosts, by the hosts' history.

    Without ``to`` it follows the chain of what served before what, so that a second rollback goes one further
    back and never forward to a release that was rolled back from.
    """
    goods: list[set[str]] = [set(fact["good"]) for fact in facts.values()]
    everywhere = set.intersection(*goods) if goods else set()
    currents = {fact["current"] for fact in facts.values()}
    if to:
        matches = [release for release in everywhere if release == to or release.split("-")[0] == to]
        if not matches:
            known = ", ".join(sorted(everywhere, key=release_number)) or "none"
            near = did_you_mean(to, everywhere)
            raise PreflightError(
                f"release {to!r} is not good on all hosts{near if 'mean' in near else f'; those that are: {known}'}",
                next_step="inv releases shows what was deployed and what is kept",
            )
        if currents == {matches[0]}:
            raise PreflightError(f"release {matches[0]} is the one that is running")
        return matches[0]
    came_from: dict[str, str] = {}
    for fact in facts.values():
        for entry in fact["history"]:
            if entry.get("result") == "good" and entry.get("kind") == "deploy" and entry.get("from"):
                came_from[entry["release"]] = entry["from"]
    release = max(currents, key=release_number, default="")
    seen = {release}
    while release := came_from.get(release, ""):
        if release in seen:
            break
        seen.add(release)
        if release in everywhere:
            return release
    raise PreflightError(
        "there is no earlier release that was good on all hosts",
        next_step="inv releases shows what there is; --to ID names one",
    )


def who() -> str:
    """Return who deploys, as history and lock name them: ``user@machine``, or the CI run."""
    if os.environ.get("GITHUB_ACTIONS"):
        actor, run = os.environ.get("GITHUB_ACTOR", "github"), os.environ.get("GITHUB_RUN_ID", "")
        return f"{actor} (GitHub run {run})"
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def _choose_release(run: _Run, bundle: Bundle) -> None:
    if run.job.resume:
        left = [f["transaction"] for f in run.facts.values() if f.get("transaction")]
        names = {(t["deploy"], t["release"], t["bundle"]) for t in left}
        if len(names) != 1:
            raise PreflightError(
                "there is no unfinished deploy to resume" if not names else "the hosts hold different deploys",
                next_step=f"start a new one: inv deploy --env {run.job.target.environment}",
            )
        if any(t["step"] == "held" for t in left):
            raise PreflightError(
                f"release {left[0]['release']} is held, and complete: there is nothing to resume",
                next_step=f"inv promote --env {run.job.target.environment} sends it the traffic",
            )
        run.deploy, run.release, digest = names.pop()
        if digest != bundle.digest:
            raise PreflightError(
                f"the unfinished deploy {run.release} was of bundle {digest[:12]}, this one is {bundle.digest[:12]}",
                next_step=f"check out what was deployed, or: inv deploy --env {run.job.target.environment} --abort",
            )
        return
    number = 1 + max(fact["number"] for fact in run.facts.values())
    run.release = release_id(number, bundle)


@contextmanager
def _run(job: Job, kind: str) -> Iterator[_Run]:
    """Open the fleet, turn signals into interrupts, and whatever fails into the fleet's return."""
    with Fleet(job.target, job.root, job.hosts) as fleet, interruptible():
        run = _Run(job=job, fleet=fleet, kind=kind)
        error: HandrailError | None = None
        with run.display:
            try:
                yield run
            except (Exception, KeyboardInterrupt) as raised:
                error = run.fail(raised)
                if not isinstance(raised, HandrailError | KeyboardInterrupt):
                    error.__cause__ = raised
        if error is not None:
            if isinstance(error, PreflightError) and error.host_states:
                untouched = dict.fromkeys(fleet.hosts, "unchanged")
                error.host_states = {**untouched, **error.host_states} if len(fleet.hosts) > 1 else {}
            error.document = run.document("interrupted" if error.exit_code == 130 else "failed", error)
            try:
                job.run_hooks("on_failure", run.hook_facts("on_failure"))
            except HandrailError as hook:
                job.printer.warn(f"on_failure hook: {hook.message}")
            raise error


def _is_unreachable(error: HandrailError) -> bool:
    """Tell a host that is away from one that is there and must not be passed over, such as one with another key."""
    return isinstance(error, UnreachableError) or getattr(error, "kind", "") == "lost"


def _source(member: Member) -> Path:
    assert member.source is not None
    return member.source


def _first(failures: Mapping[str, HandrailError]) -> HandrailError:
    """Return one failure that stands for all: a host's own word before a lost connection."""
    ranked = sorted(failures.values(), key=lambda e: getattr(e, "kind", "") == "lost")
    return ranked[0]


def _preflight(failures: Mapping[str, HandrailError], step: str) -> HandrailError:
    first = _first(failures)
    states = {host: error.message.removeprefix(f"{host}: ") for host, error in failures.items()}
    host = first.host
    message = first.message if host in first.message else f"{host}: {first.message}"
    if len(failures) > 1:
        message += f" (and {len(failures) - 1} more hosts)"
    return PreflightError(
        message,
        host=host,
        step=step,
        lines=first.lines,
        returncode=first.returncode,
        host_states=states,
        next_step=first.next_step or "nothing was changed; fix it and run it again",
    )
