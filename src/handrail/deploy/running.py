"""One run over all hosts, as named steps: what deploys, rollbacks and promotions are made of."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handrail import agent
from handrail.config.batches import split
from handrail.deploy.behind import Standing, goes_on_running, leave_out, standing, taken_out, to_remember
from handrail.deploy.document import document, hook_facts
from handrail.deploy.failures import first_failure
from handrail.deploy.fleet import Fleet, tell_of_lock
from handrail.deploy.interrupts import interruptible, uninterruptible
from handrail.deploy.release import UNCONFINED, service_for
from handrail.deploy.returning import bring_back, fail, insist
from handrail.deploy.session import Dial, HostError, Session
from handrail.deploy.who import who
from handrail.errors import HandrailError, PreflightError

if TYPE_CHECKING:
    from handrail.build.bundle import Bundle
    from handrail.config.target import Target
    from handrail.ui import Printer

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
        hooked: the moments for which there are hooks; None: any may be one.
        dial: opens the connections; None: `connect`.
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
    hooked: frozenset[str] | None = None
    dial: Dial | None = None


@dataclass
class Run:
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
    covered: set[str] = field(default_factory=set)
    """Hosts whose visitors get the maintenance page, and so meet no release."""
    committed: list[str] = field(default_factory=list)
    staying: set[str] = field(default_factory=set)
    """Hosts that kept the new release although the run failed, because they could not be brought back from it."""
    standing: Standing = field(default_factory=Standing)
    """What the fleet served when it was met, and which hosts did not."""
    owed: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What is to be remembered of the hosts that were left out when the release was held, by host."""
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
    migrated: bool = False
    """Whether the migration of this deploy has changed the schema, or may have."""
    irreversible: list[str] = field(default_factory=list)
    """The migrations of this deploy that cannot be undone."""
    kept: set[str] = field(default_factory=set)
    """Hosts that have the release of a catch-up from before."""
    locks: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The answers of hosts whose lock was got with an earlier request."""
    silent: set[str] = field(default_factory=set)
    """Hosts that could not be told to return."""
    missing: dict[str, list[int]] = field(default_factory=dict)
    """What hosts lack of the bundle, where they have said so and are locked since."""
    preparing: dict[str, int] = field(default_factory=dict)
    verifying: dict[str, list[int]] = field(default_factory=dict)
    """Requests that were posted with the one before them, by host: a round trip less."""
    display: ExitStack = field(default_factory=ExitStack)

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

    @property
    def lacking(self) -> list[str]:
        """The hosts where the release has yet to be made."""
        return [host for host in self.fleet.hosts if host not in self.kept]

    def step(self, phase: str, work: Callable[[Session], Any], hosts: Sequence[str] | None = None) -> dict[str, Any]:
        """Run one phase on the hosts; the first failure is the phase's."""
        results, failures = self.fleet.each(phase, work, hosts)
        if failures:
            raise first_failure(failures)
        return results

    def connect(self, *, locking: bool = False) -> None:
        """Connect to all hosts and learn what they are; ``locking``: ask for their locks in the same breath."""
        if locking:
            for session in self.fleet.sessions.values():
                session.ask_with_hello("lock", **self.gentle_lock())
        facts, failures = self.fleet.connect()
        self.standing = standing(facts, self.job.target.hosts)
        self.skipped = leave_out(self.fleet, facts, failures, self.standing, skip=self.job.skip_unreachable)
        if locking:
            self.step("", lambda session: self.note_gentle_lock(session, session.asked))
        self.take(facts)
        for host in taken_out(facts, self.job.target.hosts):
            self.job.printer.warn(goes_on_running(host, self.job.target.environment))
        for host, debt in self.standing.behind.items():
            if host in self.fleet.hosts:
                self.job.printer.info(f"{host} {debt.sentence()}; it is brought along")
            elif host not in self.skipped:
                self.job.printer.warn(f"{host} {debt.sentence()}; it is not among --hosts, and stays behind")

    def take(self, facts: dict[str, dict[str, Any]]) -> None:
        """Take in what the hosts say of themselves."""
        self.facts = facts
        for host in self.fleet.hosts:
            try:
                self.services[host] = service_for(self.job.target, facts[host])
            except HandrailError as error:
                error.host = host
                raise
            self.previous[host] = facts[host]["current"]

    def holder(self) -> dict[str, Any]:
        """Return what a lock says of this run to others."""
        env = self.job.target.environment
        to = f" to {self.release}" if self.release else ""
        what = {
            "deploy": f"deploy to {env}",
            "rollback": f"rollback of {env}{to}",
            "promote": f"promotion on {env}",
            "catch-up": f"catch-up on {env}",
        }[self.kind]
        return {"who": who(), "since": time.time(), "what": what, "deploy": self.deploy}

    def gentle_lock(self) -> dict[str, Any]:
        """Return the request for a lock that nobody holds, on a host where nothing is to be finished first."""
        return {"holder": self.holder(), "wait": None, "gently": True}

    def note_gentle_lock(self, session: Session, number: int) -> bool:
        """Wait for the answer to it; return whether the lock was got."""
        try:
            answer = session.wait(number)
        except HostError as error:
            if error.kind != "locked":
                raise
            return False
        if answer["taken"]:
            self.locks[session.host] = answer
        return bool(answer["taken"])

    def give_locks_back(self) -> None:
        """Free what was locked with an earlier request; what was asked under these locks has to be asked again."""
        self.fleet.unlock(list(self.locks))
        self.locks, self.missing = {}, {}

    def lock(self) -> bool:
        """Hold the lock of every host, or of none; return whether somebody else's run has changed one meanwhile."""
        started = time.monotonic()
        if not set(self.fleet.hosts) <= set(self.locks):
            self.give_locks_back()
            self.locks = self.fleet.lock(self.holder(), self.job.wait)
        self.locked = True
        changed = self.look_again()
        for host, answer in self.locks.items():
            tell_of_lock(self.job.printer, host, answer)
            self.facts[host]["transaction"] = answer["transaction"]
            self.facts[host]["number"] = answer["number"]
            self.fleet.finish(host, "lock", started)
        return any(not self.locks[host]["recovered"] for host in changed)

    def look_again(self) -> list[str]:
        """Ask those hosts anew that are not what they were when they were asked first; return them."""

        def stamp(host: str) -> tuple[str, Mapping[str, int], float | None]:
            fact = self.facts[host]
            return fact["current"], fact["scale"], fact["history"][-1].get("finished") if fact["history"] else None

        locks = self.locks.items()
        changed = [host for host, a in locks if (a["current"], a["scale"], a["newest"]) != stamp(host)]
        if changed:
            self.facts.update(self.step("", lambda session: session.look(), changed))
            self.standing = standing(self.facts, self.job.target.hosts)
            self.take(self.facts)
        return changed

    def begin_request(self, host: str, bundle: Bundle | None) -> dict[str, Any]:
        """Return the request that opens the transaction on a host; sent again, it finds what it has opened."""
        # On the host, a catch-up is a deploy of what it lacks, or a rollback to what it kept.
        kind = self.kind if self.kind != "catch-up" else "rollback" if host in self.kept else "deploy"
        state = {
            "deploy": self.deploy,
            "release": self.release,
            "kind": kind,
            "who": who(),
            "since": self.started,
            "commit": bundle.commit if bundle else "",
            "version": bundle.version if bundle else "",
            "bundle": bundle.digest if bundle else "",
            "catch_up": self.kind == "catch-up",
            "hold": self.job.hold,
        }
        digests = [member.sha256 for member in bundle.objects()] if bundle else []
        return {"state": state, "keep": self.job.target.keep, "digests": digests}

    def begin(self, bundle: Bundle | None = None) -> None:
        """Open the transaction everywhere; from here on hosts remember this run."""
        self.begun = True

        def work(session: Session) -> None:
            self.note_begun(session.host, session.call("begin", **self.begin_request(session.host, bundle)))

        self.step("", work)

    def note_begun(self, host: str, answer: dict[str, Any]) -> None:
        for text in answer.get("left", ()):
            self.job.printer.warn(f"{host}: {text}")
        self.previous[host] = answer["state"]["from"] or ""
        self.commit_sha = answer["state"].get("commit") or ""
        if answer["state"].get("migrate_ran"):
            # Resumed: an earlier client saw it end.
            self.migrate_skipped = True
            self.note_migration(answer["state"])

    def note_migration(self, facts: Mapping[str, Any]) -> None:
        """Remember what a migration has done, also one that failed half-way."""
        self.migrated = bool(facts.get("migrated"))
        self.schema = facts.get("schema")
        self.irreversible = list(facts.get("irreversible") or [])

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
            [host for host in self.fleet.hosts if host in self.moving and host not in self.left_out],
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
        # Where no traffic moves, the release serves: its background processes follow as soon as it is well.
        self.verifying[session.host] = [verify, session.post("settle", after=verify, if_it_serves=True)]
        answer = session.wait(number)
        self.note_switch(session.host, answer["switched_ago"])
        if answer["moves"]:
            self.moving.add(session.host)
        if answer["page"]:
            self.covered.add(session.host)

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
        missing = to_remember(self)

        def work(session: Session) -> None:
            times = self.times(session.host, "hold")
            session.call("hold", deploy=self.deploy, who=who(), times=times, missing=missing)

        # An interrupt between two hosts would leave some that hold it and some that do not.
        with uninterruptible():
            self.step("hold", work)

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
        answer = session.wait(look)
        self.health[session.host] = answer.get("health")
        if answer.get("unconfined"):
            self.job.printer.warn(f"{session.host}: {UNCONFINED}")
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
            raise first_failure(failures)
        for host, error in failures.items():
            self.left_out[host] = error.message
            self.job.printer.warn(f"{host}: {error.message}; it returns alone ({len(self.left_out)} of {budget} may)")
        states, broken = bring_back(self, "left out: the other hosts go on", list(failures))
        for host in broken:
            if host not in self.silent:
                raise HostError(host, "return-failed", f"left out, and could not return: {states[host]}")
            # A machine that died is what a failure budget is for: its lease returns it, if it comes back at all.
            self.job.printer.warn(f"{host}: {states[host]}")

    def finish(self) -> None:
        """Make what was rolled out the release that stays, and stop what it has replaced."""
        self.hook("after_activate")
        self.hook("before_commit")
        self.commit()
        with self.being_kept("an old instance that was not stopped is stopped by the next deploy"):
            self.drain()

    @contextmanager
    def being_kept(self, what: str) -> Iterator[None]:
        """Do what follows the commit: an interrupt cuts it short and no longer returns what every host has committed.

        Args:
            what: what to know about what was cut short.
        """
        try:
            yield
        except KeyboardInterrupt:
            for session in self.fleet.sessions.values():
                session.revive()
            self.job.printer.warn(f"interrupted after the commit: {self.release} stays; {what}")

    def commit(self) -> None:
        missing = to_remember(self)

        def work(session: Session) -> dict[str, Any]:
            times = self.times(session.host, "commit")
            return insist(
                self, session, "commit", deploy=self.deploy, times=times, missing=missing, canary=self.canary,
                fleet=self.job.target.hosts,
            )  # fmt: skip

        # An interrupt between two hosts' commits would leave a mixed fleet.
        with uninterruptible():
            staying = [host for host in self.fleet.hosts if host not in self.left_out]
            results, failures = self.fleet.each("commit", work, staying)
        self.committed = list(results)
        if failures:
            raise first_failure(failures)

    def hook(self, moment: str) -> None:
        self.job.run_hooks(moment, hook_facts(self, moment))


@contextmanager
def running(job: Job, kind: str) -> Iterator[Run]:
    """Open the fleet, turn signals into interrupts, and whatever fails into the fleet's return."""
    with Fleet(job.target, job.root, job.hosts, partial(Session, dial=job.dial)) as fleet, interruptible():
        run = Run(job=job, fleet=fleet, kind=kind)
        error: HandrailError | None = None
        with run.display:
            try:
                yield run
                fleet.is_done = True
            except (Exception, KeyboardInterrupt) as raised:
                error = fail(run, raised)
                if not isinstance(raised, HandrailError | KeyboardInterrupt):
                    error.__cause__ = raised
        if error is not None:
            if isinstance(error, PreflightError) and error.host_states:
                untouched = dict.fromkeys(fleet.hosts, "unchanged")
                error.host_states = {**untouched, **error.host_states} if len(fleet.hosts) > 1 else {}
            error.document = document(run, "interrupted" if error.exit_code == 130 else "failed", error)
            try:
                job.run_hooks("on_failure", hook_facts(run, "on_failure"))
            except HandrailError as hook:
                job.printer.warn(f"on_failure hook: {hook.message}")
            except KeyboardInterrupt:
                # What is to be told is how the run ended.
                job.printer.warn("on_failure hook: interrupted")
            raise error
