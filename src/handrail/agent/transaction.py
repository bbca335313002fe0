"""The journal of one deploy or rollback on this host, its decision, and the way back."""

import contextlib
import fcntl
import json
import os
import time

from handrail.agent import ballast
from handrail.agent.files import read_json, read_text, remove_file, remove_tree, sync, write_atomic
from handrail.agent.instances import Instances, with_files
from handrail.agent.protocol import ACTIVE
from handrail.agent.refusal import Refused
from handrail.agent.schema import raise_again
from handrail.agent.workers import bring, bring_back

# Beside the numbers of `inv scale`, while the server may not have the one that was written down for it.
WEB_MARK = "scale.web"


class Transaction:
    """The journal of one deploy or rollback on this host: ``tx/state.json`` and the files beside it."""

    def __init__(self, app):
        self.app = app

    def path(self, name):
        return os.path.join(self.app.tx, name)

    def state(self):
        return read_json(self.path("state.json"))

    def begin(self, state):
        self.finish()
        os.makedirs(self.app.tx, mode=0o700)
        self.write(state)

    def write(self, state):
        self.spare(lambda: write_atomic(self.path("state.json"), json.dumps(state, sort_keys=True)))

    def sync(self):
        """Put the journal's names on the disk; what they name is there. Too slow to be done at each step."""
        sync(self.app.tx)
        sync(self.app.folder)

    def spare(self, work):
        """Do ``work``, which may be repeated; where the disk is full, give up the ballast for it, piece by piece."""
        while True:
            try:
                return work()
            except OSError as error:
                if error.errno not in ballast.FULL or not ballast.drop(self.path("ballast")):
                    raise

    def update(self, **changes):
        state = self.state()
        state.update(changes)
        self.write(state)
        return state

    def decide(self, decision):
        """Try to decide; return the decision that holds, which may be somebody else's."""
        self.spare(lambda: self.try_to_decide(decision))
        return self.decision()

    def try_to_decide(self, decision):
        temporary = self.path("decision.%d.%d.tmp" % (os.getpid(), time.monotonic_ns()))
        try:
            with open(temporary, "w", encoding="ascii") as stream:
                stream.write(decision)
                stream.flush()
                os.fsync(stream.fileno())
            # link(2) fails when the name exists, and the file is complete the moment it appears.
            os.link(temporary, self.path("decision"))
            sync(self.app.tx)
        except FileExistsError:
            pass
        finally:
            if os.path.exists(temporary):
                os.unlink(temporary)

    @contextlib.contextmanager
    def acting(self):
        """Keep the agent and the guardian from moving links and traffic at the same time."""
        fd = self.spare(lambda: os.open(self.path("acting"), os.O_RDWR | os.O_CREAT, 0o600))
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def decision(self):
        return read_text(self.path("decision")).strip()

    def renew_lease(self):
        try:
            os.utime(self.path("lease"))
        except OSError:
            pass

    def forget(self, *names):
        """Delete files of the journal, such as a decision that no longer stands."""
        for name in names:
            if os.path.exists(self.path(name)):
                os.unlink(self.path(name))

    def finish(self):
        """End it with one rename: a journal that was deleted half-way could have lost the decision alone."""
        done = "%s.%d.%d.done" % (self.app.tx, os.getpid(), time.monotonic_ns())
        try:
            os.rename(self.app.tx, done)
        except FileNotFoundError:
            return
        sync(self.app.folder)
        remove_tree(done)

    def perform_return(self, reason, is_last=True):
        """Bring back the release that served before; idempotent. Returns the outcome that it recorded.

        ``is_last``: record a failure, whatever it is; else one that may pass is raised, and its caller tries again.
        """
        with self.acting():
            return self.perform_return_alone(reason, is_last)

    def perform_return_alone(self, reason, is_last):
        began = time.monotonic()
        state = self.state()
        previous = state.get("from") or ""
        instances = Instances(self.app, with_files(state.get("service"), state.get("files")))
        live, goal = state.get("live") or "", state.get("goal") or "web"
        service = instances.service(goal)
        outcome = {"ok": True, "serves": previous, "why": "", "reason": reason}
        try:
            # Before the code: every deploy has old code on a new schema for a moment, none has the reverse.
            schema = raise_again(self.app, state) if state.get("lowered") else ""
            if previous and live and live != goal:
                self.return_to(instances, state, outcome)
                service = None
            else:
                self.spare(lambda: self.app.switch(previous))
            if service and previous:
                self.spare(service.install)
                service = instances.service(goal)
                if not service.look(previous)["ok"]:
                    self.spare(service.restart)
                report = service.wait_until_healthy(previous)
                if not report["ok"]:
                    outcome["ok"], outcome["why"] = False, report["why"]
                if instances.proxy and state.get("proxy"):
                    self.spare(lambda: instances.proxy.restore(state["proxy"]))
            elif service and service.is_installed():
                if service.pid():
                    service.stop()
                # Nothing served before: what was refused must not start with the host.
                service.retire()
            if state.get("workers") is not None:
                self.spare(lambda: bring(self.app, state["workers"], previous))
            else:
                # Nobody has touched them yet, but what ended meanwhile was started again from the new link.
                self.spare(lambda: bring_back(self.app, previous))
            if schema and outcome["ok"]:
                outcome["ok"], outcome["why"] = False, schema
        except Refused as error:
            outcome["ok"], outcome["why"] = False, str(error)
        except Exception as error:
            # Also a RuntimeError, as of a thread that a limit of processes did not let start: it has to be told, too.
            if not is_last:
                raise
            outcome["ok"], outcome["why"] = False, str(error)
        entry = entry_of(
            state, to=previous or None, result="returned" if outcome["ok"] else "return-failed", reason=reason
        )
        add_times(entry, read_json(self.path("times")))
        entry["seconds"]["return"] = round(time.monotonic() - began, 3)
        # A rollback's goal is a good release, which is never given up.
        if entry["kind"] == "rollback":
            self.spare(lambda: self.app.record(entry))
        else:
            self.app.make_room(state["release"], lambda: self.spare(lambda: self.app.record(entry)))
        self.update(step="returned", outcome=outcome)
        return outcome

    def return_to(self, instances, state, outcome):
        """Bring the instance back that served before, which as a rule still runs, and end the new one."""
        live, goal, previous = state["live"], state["goal"], state["from"]
        new = instances.service(goal)
        if live != "web":
            self.spare(lambda: self.app.link_slot(live, previous))
        self.spare(lambda: self.app.switch(previous))
        old = instances.service(live)
        if old.spec["port"] == new.spec["port"]:
            new.retire()
        if not old.look(previous)["ok"]:
            self.spare(old.restart)
        report = old.wait_until_healthy(previous)
        if not report["ok"]:
            outcome["ok"], outcome["why"] = False, report["why"]
        # Also where it seems to point there: a reload may have been cut off.
        if instances.proxy:
            if state.get("proxy"):
                self.spare(lambda: instances.proxy.restore(state["proxy"]))
            else:
                self.spare(lambda: instances.proxy_for(live).point(live))
            # What visitors have asked of it by now, it still answers.
            new.drain(instances.spec.get("drain", 0.0))
        new.retire()

    def recover(self):
        """Finish what a dead client, agent and guardian left between activation and the end.

        Call it only while holding the lock. Returns a sentence on what was done, or "".
        """
        state = self.state()
        if not state:
            return ""
        if state["step"] == "returned":
            return ""
        if self.decision() == "hold" and state["step"] in ACTIVE:
            finish_hold(self.app, self)
            return "recorded that release %s is held, which had been cut short" % state["release"]
        if self.decision() == "commit":
            commit_history(self.app, self)
            return "recorded release %s, whose commit had been cut short" % state["release"]
        if state["step"] in ACTIVE:
            self.decide("return")
            outcome = self.perform_return("its client, agent and guardian died")
            if not outcome["ok"]:
                raise Refused("return-failed", "could not return to %s: %s" % (outcome["serves"], outcome["why"]))
            return "returned from %s, which was never committed, to %s" % (
                state["release"],
                state.get("from"),
            )
        return ""


def finish_hold(app, transaction, times=None):
    """Record that the release is held, once that was decided; idempotent. Returns the state."""
    state = transaction.state()
    # Its migration has run, and a rollback from what serves meanwhile would cross it.
    names = ("release", "from", "kind", "commit", "bundle", "deploy", "migrated", "schema", "irreversible")
    entry = {key: state.get(key) for key in names}
    entry.update(
        result="held", to=state.get("from"), who=state["held"]["who"], started=state.get("since"), finished=time.time()
    )
    add_times(entry, times)
    if not [e for e in app.history() if e.get("deploy") == state["deploy"] and e.get("result") == "held"]:
        app.record(entry)
    state = transaction.update(step="held")
    transaction.sync()
    transaction.forget("lease", "decision")
    return state


def entry_of(state, **facts):
    """Return a line of history on a transaction that ends, with further facts on how it does."""
    entry = {
        "release": state["release"],
        "from": state.get("from") or None,
        "kind": state.get("kind", "deploy"),
        "who": state.get("who", ""),
        "commit": state.get("commit", ""),
        "bundle": state.get("bundle", ""),
        "migrated": bool(state.get("migrated")),
        "schema": state.get("schema"),
        "irreversible": state.get("irreversible") or [],
        "canary": state.get("canary"),
        "deploy": state["deploy"],
        "started": state.get("since"),
        "finished": time.time(),
    }
    entry.update(facts)
    return entry


def add_times(entry, times):
    """Add what the client measured, by its own clock, to a line of history; a client that died measured nothing.

    ``seconds`` and ``starts`` by phase, ``switched``: seconds since the deploy's start; ``failed``: the phase that did.
    """
    times = times or {}
    entry["seconds"] = times.get("seconds") or {}
    entry.update({key: times[key] for key in ("starts", "switched", "failed") if times.get(key)})


def commit_history(app, transaction, times=None):
    state = transaction.state()
    entry = entry_of(
        state,
        to=state["release"],
        result="good",
        version=state.get("version", ""),
        lowered=state.get("lowered"),
        catch_up=bool(state.get("catch_up")),
        missing=state.get("missing") or {},
        held=state.get("held"),
        promoted=state.get("promoted"),
        slot=state.get("goal") if state.get("goal") in ("blue", "green") else "",
    )
    add_times(entry, times)
    known = [e for e in app.history() if e.get("deploy") == state["deploy"] and e.get("result") == "good"]
    if not known:
        transaction.spare(lambda: app.record(entry))
    if state.get("restarted"):
        remove_file(app.path(WEB_MARK))
    transaction.finish()
    return entry


def public_state(state):
    """Return a transaction's state without the parts that only this host needs."""
    if not state:
        return None
    return {key: value for key, value in state.items() if key not in ("service", "files", "proxy")}
