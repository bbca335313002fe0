"""The process that runs a periodic job where the process manager has no timers: a release carries it as a file.

It uses the standard library alone and runs on Python 3.8 and newer, like the agent. Started by the job's launcher, so
in its release's folder and with its settings::

    python3 run-scheduler.py NAME '{"minutes": [...], …}' PATIENCE TIMEOUT REPORT

One run at a time: what comes while a run goes on is left out. What came while nobody waited, because a deploy let a
run end or the host was off, is made up for, once. A run whose scheduler was killed goes on, and the next scheduler
takes it for its own. A run prints into a pipe whose end to read it holds itself, so that the pipe does not break with
the scheduler; what it prints meanwhile, the next one passes on. SIGTERM ends it: nothing new begins, the run in
progress may end by itself for PATIENCE seconds, then it is asked to, and killed 10 s later. SIGUSR1 begins a run now.
REPORT is a JSON file that says what happened. Times are UTC.
"""

import contextlib
import datetime
import json
import os
import signal
import subprocess
import sys
import threading
import time

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
LONGEST_SLEEP = 30.0
POLL = 0.2
GRACE = 10.0
# A clock that is put right by no more than this, in seconds, has no time come once more.
SMALL_STEP = 60.0


def following(schedule, after):
    """Return the next time that a schedule matches after ``after``, both in seconds of the epoch; None for never."""
    moment = datetime.datetime.fromtimestamp(after, datetime.timezone.utc).replace(second=0, microsecond=0)
    moment += datetime.timedelta(minutes=1)
    # The rarest there are, 29 February and one weekday, come within 40 years.
    for _ in range(366 * 41):
        if matches_day(schedule, moment):
            for hour in schedule["hours"]:
                for minute in schedule["minutes"]:
                    if (hour, minute) >= (moment.hour, moment.minute):
                        return moment.replace(hour=hour, minute=minute).timestamp()
        moment = moment.replace(hour=0, minute=0) + datetime.timedelta(days=1)
    return None


def not_ahead(seen, now):
    """Return up to when times were seen; those that a clock saw which was ahead and is put right come once more."""
    return now if seen - now > SMALL_STEP else seen


def await_signal(seconds):
    """Return the number of a blocked signal that has come, or None after so many seconds."""
    if hasattr(signal, "sigtimedwait"):
        got = signal.sigtimedwait(SIGNALS, seconds)
        return got.si_signo if got else None
    # macOS has no such wait.
    deadline = time.monotonic() + seconds
    while True:
        pending = signal.sigpending() & set(SIGNALS)
        if pending:
            return signal.sigwait(pending)
        if time.monotonic() >= deadline:
            return None
        time.sleep(min(POLL, max(0.0, deadline - time.monotonic())))


def matches_day(schedule, moment):
    if moment.month not in schedule["months"]:
        return False
    day, weekday = moment.day in schedule["days"], moment.isoweekday() % 7 in schedule["weekdays"]
    return (day or weekday) if schedule["either_day"] else (day and weekday)


def started(pid):
    """Return when a process was started, as its system says it, to tell it from a later one; "" where it has ended."""
    if not os.path.isdir("/proc/self"):
        argv = ["ps", "-o", "lstart=", "-p", str(pid)]
        return subprocess.run(argv, stdout=subprocess.PIPE, check=False).stdout.decode("utf-8", "replace").strip()
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as stream:
            # "pid (name) state …": the name may hold spaces and brackets.
            fields = stream.read().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def pass_on(output):
    """Runs in a thread: print what a run prints, from the end of its pipe to read."""
    with open(output, "rb", buffering=0) as stream:
        while True:
            data = stream.read(1 << 16)
            if not data:
                return
            # A run must not wait because nobody takes its words.
            with contextlib.suppress(OSError):
                os.write(1, data)


class Orphan:
    """A run whose scheduler was killed, as if this one had begun it; how it ends, nobody can see."""

    UNSEEN = "unseen"

    def __init__(self, known):
        self.pid = known["pid"]
        self.started = known["started"]

    def output(self, expected):
        """Return the end to read of its pipe, which its number as a file tells; None where that cannot be had."""
        try:
            # As a pipe with a name, it opens for whoever may see the process; where nobody writes, without waiting.
            fd = os.open("/proc/%d/fd/1" % self.pid, os.O_RDONLY | os.O_NONBLOCK)
        except OSError:
            return None
        if os.fstat(fd).st_ino != expected:
            os.close(fd)
            return None
        os.set_blocking(fd, True)
        return fd

    def poll(self):
        return None if self.started and started(self.pid) == self.started else self.UNSEEN

    def wait(self, seconds):
        deadline = time.monotonic() + seconds
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired([], seconds)
            time.sleep(0.02)
        return self.UNSEEN


class Scheduler:
    def __init__(self, name, schedule, patience, timeout, report):
        self.name = name
        self.schedule = schedule
        self.patience = patience
        self.timeout = timeout
        self.path = report
        self.report = read(report)
        self.run = None
        self.reader = None
        # Of the run in progress, for the report: "began", "release", and what tells its process and pipe from others.
        self.known = {}
        # The clock may be set: lengths of time are measured by the one that cannot, from these on.
        self.since = 0.0
        self.ending = 0.0
        self.wanted = False
        # A job that is new here, or came back with another schedule, has missed nothing.
        known = self.report.get("schedule") == schedule and "waited_until" in self.report
        self.seen = not_ahead(self.report["waited_until"], time.time()) if known else time.time()

    def adopt(self):
        known = self.report.get("run")
        orphan = Orphan(known) if known else None
        if orphan and orphan.poll() is None:
            print("%s: a run whose scheduler was killed goes on" % self.name, flush=True)
            self.run, self.known = orphan, known
            self.listen(orphan.output(known.get("output")))
            self.since = time.monotonic() - max(0.0, time.time() - known["began"])

    def work(self):
        """Wait and run until SIGTERM, and until the run in progress has ended."""
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        self.adopt()
        while not self.ending or self.run:
            now = time.time()
            self.seen = not_ahead(self.seen, now)
            due = following(self.schedule, self.seen)
            if self.run is None and not self.ending and (self.wanted or (due is not None and due <= now)):
                self.start()
                self.wanted = False
            # What comes while this one ends, its successor makes up for.
            if due is not None and due <= now and not self.ending:
                self.seen = now
                due = following(self.schedule, now)
            self.tell(next=due, waited_until=self.seen)
            self.wait(LONGEST_SLEEP if due is None or self.run else due - now)

    def start(self):
        launcher = os.path.join(os.path.dirname(os.path.abspath(__file__)), "run-" + self.name)
        output, written = os.pipe()
        # A session of its own, so that the manager's signals and ours reach the scheduler and the run apart.
        self.run = subprocess.Popen(
            [launcher],
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=subprocess.STDOUT,
            pass_fds=[output],
            start_new_session=True,
            preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS),
        )
        os.close(written)
        self.since = time.monotonic()
        pid, release = self.run.pid, os.environ.get("HANDRAIL_RELEASE")
        self.known = {"began": time.time(), "release": release, "pid": pid, "started": started(pid)}
        self.known["output"] = os.fstat(output).st_ino
        self.listen(output)
        self.tell()

    def listen(self, output):
        self.reader = threading.Thread(target=pass_on, args=(output,), daemon=True) if output is not None else None
        if self.reader:
            self.reader.start()

    def wait(self, until):
        """Wait until a signal, the next time or the end of the run, whichever is first."""
        seconds = LONGEST_SLEEP if self.run is None else POLL
        got = await_signal(max(0.0, min(until, seconds)))
        if got == signal.SIGTERM:
            self.ending = self.ending or time.monotonic()
        elif got:
            self.wanted = True
        if self.run is None:
            return
        code = self.run.poll()
        if code is None and self.timeout and time.monotonic() - self.since > self.timeout:
            print("%s: stopped after %g s, its timeout" % (self.name, self.timeout), flush=True)
            code = self.stop()
        elif code is None and self.ending and time.monotonic() - self.ending > self.patience:
            print("%s: stopped, a deploy had waited %g s for its end" % (self.name, self.patience), flush=True)
            code = self.stop()
        if code is None:
            return
        if self.reader:
            # What it left behind may keep the pipe open: do not wait for that.
            self.reader.join(1.0)
        last = {"began": self.known["began"], "ended": time.time(), "code": code, "release": self.known["release"]}
        self.run, self.known = None, {}
        if code == Orphan.UNSEEN:
            last["code"] = None
            print("%s: ended; how, only its scheduler could have seen, which was killed" % self.name, flush=True)
        elif code:
            print("%s: ended with %d" % (self.name, code), flush=True)
        self.tell(last=last)

    def stop(self):
        """End the run, politely and then not; return its exit code."""
        for number, seconds in ((signal.SIGTERM, GRACE), (signal.SIGKILL, 5)):
            try:
                os.killpg(self.run.pid, number)
                return self.run.wait(seconds)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
        return -signal.SIGKILL

    def tell(self, **facts):
        facts.update(schedule=self.schedule, running=self.known.get("began"), run=self.known)
        if all(self.report.get(key) == value for key, value in facts.items()):
            return
        self.report.update(facts)
        temporary = "%s.%d.tmp" % (self.path, os.getpid())
        try:
            with open(temporary, "w", encoding="utf-8") as stream:
                json.dump(self.report, stream)
            os.replace(temporary, self.path)
        except OSError as error:
            # A full disk must not end the job.
            print("%s: cannot write %s: %s" % (self.name, self.path, error.strerror), flush=True)


def read(path):
    try:
        with open(path, encoding="utf-8") as stream:
            found = json.load(stream)
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}


if __name__ == "__main__":
    _, _name, _schedule, _patience, _timeout, _report = sys.argv
    Scheduler(_name, json.loads(_schedule), float(_patience), float(_timeout), _report).work()
