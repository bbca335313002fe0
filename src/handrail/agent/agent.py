"""The agent: what Handrail runs on a host, as one process a deploy.

It is one file, uses the standard library only and runs on Python 3.8 and newer, because it travels over the
session's standard input to hosts that have nothing else; that is also why it is longer than other files here.

Protocol. The client writes one JSON object a line: ``{"id": 7, "op": "prepare", ...}``; where it has ``"bytes": n``,
n raw bytes follow the line. The agent answers in JSON lines: any number of ``{"id": 7, "event": {...}}``, then
``{"id": 7, "ok": true, "result": {...}}`` or ``{"id": 7, "ok": false, "error": {"kind", "message", ...}}``.
Requests are served in order, except ``ping``, which a reader thread takes at once.

On the host, below ``<root>/<app>/``::

    releases/<id>/      code, .venv, .handrail/{manifest.json, env, run-*, state}
    current             -> releases/<id>; only ever replaced by rename(2)
    slots/<slot>        -> ../releases/<id>; what the blue and the green instance run, where there are such
    shared/  store/     links' targets; objects by sha256
    history.jsonl       append-only; what was good is what this file says, in its order
    lock                flock(2): freed by the kernel when its last holder dies
    tx/                 the transaction that is under way, or was when its client died

Two processes can act on a transaction: this one and, from activation on, the *guardian*, a detached copy of this
file which inherits the lock. ``tx/decision`` is created with O_EXCL and holds ``commit`` or ``return``: whoever
creates it has decided, so a commit that arrives late and a lease that runs out cannot both win. The guardian
carries out a return, also when the agent was killed; if the guardian was killed, the agent does, and if both
were, the next process that gets the lock does.
"""

import contextlib
import errno
import fcntl
import glob
import hashlib
import http.client
import json
import os
import platform
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import zlib

MARKER = "HANDRAIL-AGENT-1"
CHUNK = 1 << 18
USER_AGENT = "handrail-health"
RELEASE_ID = re.compile(r"^[0-9]+-[0-9a-z][0-9a-z.-]*$")
DIGEST = re.compile(r"^[0-9a-f]{64}$")


class Refused(Exception):
    """An expected failure: ``kind`` tells the client what it means, ``facts`` travel with it."""

    def __init__(self, kind, message, **facts):
        super().__init__(message)
        self.kind = kind
        self.facts = facts


# ---------------------------------------------------------------- files


def write_atomic(path, text, mode=0o600):
    """Write a file so that a reader, or a power cut, sees the old content or the new."""
    temporary = "%s.%d.%d.tmp" % (path, os.getpid(), time.monotonic_ns())
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(fd, "w", encoding="utf-8", errors="surrogateescape") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, path)


def write_as_root(path, text, mode):
    """Write a file where only root may, complete or not at all; through ``sudo -n`` where this is not root."""
    if os.geteuid() == 0:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write_atomic(path, text, mode)
        os.chmod(path, mode)
        return
    temporary = path + ".handrail-new"
    for argv, data in (
        (["sudo", "-n", "install", "-D", "-m", "%o" % mode, "/dev/stdin", temporary], text.encode()),
        (["sudo", "-n", "mv", "-f", temporary, path], b""),
    ):
        process = subprocess.run(argv, input=data, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if process.returncode != 0:
            lines = process.stdout.decode("utf-8", "replace").splitlines()
            raise Refused("service", "cannot write %s with sudo" % path, command=" ".join(argv), lines=lines)


def read_text(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except (FileNotFoundError, NotADirectoryError):
        return ""


def read_json(path):
    try:
        return json.loads(read_text(path) or "null")
    except ValueError:
        return None


def sync_folder(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def remove_tree(path):
    """Delete a folder whose files may be read-only; a folder that is not there is fine."""

    def make_writable(function, name, _error):
        if not os.path.lexists(name):
            return
        os.chmod(os.path.dirname(name), 0o700)
        function(name)

    if os.path.islink(path) or os.path.isfile(path):
        os.unlink(path)
    elif os.path.isdir(path):
        if sys.version_info >= (3, 12):
            shutil.rmtree(path, onexc=make_writable)
        else:
            shutil.rmtree(path, onerror=make_writable)


def inside(folder, relative):
    """Join a path that came over the wire, refusing one that would leave the folder."""
    parts = relative.split("/")
    if relative.startswith("/") or "\0" in relative or any(p in ("", ".", "..") for p in parts):
        raise Refused("bad-request", "the bundle names an unsafe path: %r" % relative)
    return os.path.join(folder, *parts)


# ---------------------------------------------------------------- processes


def run(argv, timeout=120.0, env=None, cwd=None, gone=None, emit=None):
    """Run a command; return (returncode, output lines).

    ``gone``: an event on which the command is stopped; ``emit`` gets each line as it comes.
    """
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=cwd,
            start_new_session=True,
        )
    except OSError as error:
        return 127, ["%s: %s" % (argv[0], os.strerror(error.errno or 0))]
    lines = []

    def pump():
        for raw in process.stdout:
            line = raw.decode("utf-8", "replace").rstrip("\n")
            lines.append(line)
            if emit:
                emit(line)
            del lines[:-2000]

    reader = threading.Thread(target=pump, daemon=True)
    reader.start()
    deadline = time.monotonic() + timeout
    while True:
        try:
            # Short waits at first: most commands here take milliseconds.
            process.wait(0.1)
            break
        except subprocess.TimeoutExpired:
            late = time.monotonic() > deadline
            if late or (gone is not None and gone.is_set()):
                for number in (signal.SIGTERM, signal.SIGKILL):
                    try:
                        os.killpg(process.pid, number)
                        process.wait(5)
                    except (ProcessLookupError, PermissionError, subprocess.TimeoutExpired):
                        continue
                    break
                lines.append("stopped after %.0f s" % timeout if late else "stopped: no longer wanted")
                return (-signal.SIGALRM if late else -signal.SIGHUP), lines
    # A daemon that the command left behind may keep the pipe open: do not wait for it for ever.
    reader.join(1.0)
    return process.returncode, lines


def signal_name(number):
    try:
        return signal.Signals(number).name
    except ValueError:
        return "signal %d" % number


def how_it_ended(returncode):
    if returncode < 0:
        hint = ": out of memory?" if returncode == -signal.SIGKILL else ""
        return "was killed by signal %d (%s%s)" % (-returncode, signal_name(-returncode), hint)
    if returncode > 128 and returncode - 128 in (
        signal.SIGKILL,
        signal.SIGTERM,
        signal.SIGSEGV,
        signal.SIGABRT,
    ):
        return "exited with %d (%s)" % (returncode, signal_name(returncode - 128))
    return "exited with %d" % returncode


def process_environment(pid):
    """Return a process's start-up environment as a dict, or None where this user may not read it."""
    try:
        with open("/proc/%d/environ" % pid, "rb") as stream:
            raw = stream.read()
        pairs = (item.partition(b"=") for item in raw.split(b"\0") if item)
        return {k.decode("utf-8", "replace"): v.decode("utf-8", "replace") for k, _, v in pairs}
    except OSError:
        pass
    if os.path.isdir("/proc/self"):
        return None
    code, lines = run(["ps", "eww", "-o", "command=", "-p", str(pid)], 5)
    if code != 0:
        return None
    found = re.findall(r"\b(HANDRAIL_[A-Z]+)=(\S+)", " ".join(lines))
    return dict(found)


def process_folder(pid):
    try:
        return os.readlink("/proc/%d/cwd" % pid)
    except OSError:
        pass
    if os.path.isdir("/proc/self"):
        return ""
    _, lines = run(["lsof", "-a", "-p", str(pid), "-d", "cwd", "-Fn"], 5)
    return next((line[1:] for line in lines if line.startswith("n")), "")


def listeners(port):
    """Return pids that listen on a TCP port, or None where that cannot be seen."""
    inodes = set()
    known = False
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in read_text(table).splitlines()[1:]:
            known = True
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rsplit(":", 1)[1], 16) == port:
                inodes.add("socket:[%s]" % fields[9])
    if not os.path.isdir("/proc/self"):
        code, lines = run(["lsof", "-nP", "-iTCP:%d" % port, "-sTCP:LISTEN", "-t"], 5)
        return [int(line) for line in lines if line.isdigit()] if code in (0, 1) else None
    if not known:
        return None
    if not inodes:
        return []
    pids = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            for fd in os.scandir("/proc/%s/fd" % entry):
                try:
                    if os.readlink(fd.path) in inodes:
                        pids.append(int(entry))
                        break
                except OSError:
                    continue
        except OSError:
            continue
    # Somebody listens whose descriptors this user may not read: that is "unknown", not "nobody".
    return pids or None


def connections_to(port):
    """Return how many connections to a loopback port are open, on the listener's side."""
    count = 0
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in read_text(table).splitlines()[1:]:
            fields = line.split()
            if fields[3] == "01" and int(fields[1].rsplit(":", 1)[1], 16) == port:
                count += 1
    return count


def ask_health(service):
    """Ask the health path once; return {"ok", "status", "seconds", "error", "release"}."""
    started = time.monotonic()
    answer = {"ok": False, "status": 0, "seconds": 0.0, "error": "", "release": ""}
    connection = http.client.HTTPConnection("127.0.0.1", service["port"], timeout=min(5.0, service["health_timeout"]))
    try:
        connection.request("GET", service["health"], headers={"Host": "localhost", "User-Agent": USER_AGENT})
        response = connection.getresponse()
        body = response.read(4096)
        answer["status"] = response.status
        answer["release"] = response.headers.get("X-Handrail-Release", "")
        answer["ok"] = response.status == service["health_status"]
        if not answer["ok"]:
            text = " ".join(body.decode("utf-8", "replace").split())[:200]
            answer["error"] = "GET %s answered %d, expected %d%s" % (
                service["health"],
                response.status,
                service["health_status"],
                ": " + text if text else "",
            )
    except (OSError, http.client.HTTPException) as error:
        text = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        answer["error"] = "GET %s: %s" % (service["health"], text or type(error).__name__)
    finally:
        connection.close()
        answer["seconds"] = round(time.monotonic() - started, 4)
    return answer


# ---------------------------------------------------------------- the app's folder


class App:
    """What is on this host for one app: pure file operations, no protocol."""

    def __init__(self, root, name):
        self.name = name
        self.folder = os.path.join(os.path.expanduser(root), name)
        self.releases = self.path("releases")
        self.current = self.path("current")
        self.store = self.path("store")
        self.tx = self.path("tx")

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def release(self, release, *parts):
        if not RELEASE_ID.match(release):
            raise Refused("bad-request", "%r is not a release id" % release)
        return os.path.join(self.releases, release, *parts)

    def make_folders(self):
        for folder in (
            self.folder,
            self.releases,
            self.path("shared"),
            self.path("shared", "log"),
            self.store,
        ):
            os.makedirs(folder, mode=0o755, exist_ok=True)
        os.makedirs(os.path.join(self.store, "objects"), exist_ok=True)

    def current_release(self):
        try:
            return os.path.basename(os.readlink(self.current))
        except OSError:
            return ""

    def history(self):
        entries = []
        for line in read_text(self.path("history.jsonl")).splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # a line that a power cut left half written
            if isinstance(entry, dict):
                entries.append(entry)
        return entries

    def record(self, entry):
        line = json.dumps(entry, sort_keys=True) + "\n"
        path = self.path("history.jsonl")
        with open(path, "ab+") as stream:
            stream.seek(0, os.SEEK_END)
            if stream.tell():
                stream.seek(-1, os.SEEK_END)
                if stream.read(1) != b"\n":
                    line = "\n" + line
            stream.write(line.encode())
            stream.flush()
            os.fsync(stream.fileno())

    def make_room(self, release, work):
        """Do ``work``; where the disk is full, give up the failed release's folder for it and do it again."""
        try:
            work()
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            remove_tree(self.release(release))
            work()

    def is_complete(self, release):
        return read_text(self.release(release, ".handrail", "state")).strip() == "complete"

    def good_releases(self):
        """Return ids that were committed and are still whole, oldest first, in the history's order."""
        order = []
        for entry in self.history():
            if entry.get("result") == "good" and RELEASE_ID.match(str(entry.get("release"))):
                if entry["release"] in order:
                    order.remove(entry["release"])
                order.append(entry["release"])
        return [release for release in order if self.is_complete(release)]

    def last_number(self):
        """Return the highest release number that this host has seen, whatever became of it."""
        names = [str(entry.get("release", "")) for entry in self.history()]
        names += os.listdir(self.releases) if os.path.isdir(self.releases) else []
        names.append((Transaction(self).state() or {}).get("release", ""))
        return max([int(name.split("-")[0]) for name in names if RELEASE_ID.match(name)] or [0])

    def switch(self, release):
        """Point ``current`` at a release: one rename of a uniquely named link, then read back."""
        if release:
            target = os.path.join("releases", release)
            temporary = "%s.%d.%d.tmp" % (self.current, os.getpid(), time.monotonic_ns())
            os.symlink(target, temporary)
            os.rename(temporary, self.current)
        elif os.path.islink(self.current):
            os.unlink(self.current)
        sync_folder(self.folder)
        if self.current_release() != release:
            raise Refused("switch", "current points at %r after switching to %r" % (self.current_release(), release))

    def slot_release(self, slot):
        """Return the release that a slot's link names, or ""."""
        try:
            return os.path.basename(os.readlink(self.path("slots", slot)))
        except OSError:
            return ""

    def link_slot(self, slot, release):
        """Point a slot at a release; like `switch`, one rename."""
        os.makedirs(self.path("slots"), exist_ok=True)
        temporary = "%s.%d.%d.tmp" % (self.path("slots", slot), os.getpid(), time.monotonic_ns())
        os.symlink(os.path.join("..", "releases", release), temporary)
        os.rename(temporary, self.path("slots", slot))
        sync_folder(self.path("slots"))
        if self.slot_release(slot) != release:
            raise Refused("switch", "slot %s points at %r" % (slot, self.slot_release(slot)))

    def sweep(self, keep_release=""):
        """Delete leftovers: half-made releases, temporary links and half-written objects."""
        swept = []
        for name in (
            glob.glob(self.path("*.tmp"))
            + glob.glob(self.path("slots", "*.tmp"))
            + glob.glob(os.path.join(self.store, "objects", "*", "*.tmp"))
        ):
            os.unlink(name)
        known = set(os.listdir(self.releases)) if os.path.isdir(self.releases) else set()
        good = set(self.good_releases())
        for release in known:
            if release in (self.current_release(), keep_release) or release in good:
                continue
            remove_tree(os.path.join(self.releases, release))
            swept.append(release)
        return swept

    def prune(self, keep, keep_release=""):
        """Keep the running release, ``keep`` good ones beside it, and what they need of the store."""
        current = self.current_release()
        others = [r for r in self.good_releases() if r not in (current, keep_release)]
        removed = others[: max(0, len(others) - keep)]
        for release in removed:
            remove_tree(self.release(release))
        used = set()
        for release in os.listdir(self.releases):
            manifest = read_json(os.path.join(self.releases, release, ".handrail", "manifest.json")) or {}
            for member in manifest.get("members", []):
                used.add(member.get("sha256"))
        return removed, used

    def collect_garbage(self, used):
        """Delete objects that no kept release and no member of ``used`` names."""
        freed = 0
        for folder in os.scandir(os.path.join(self.store, "objects")):
            for entry in os.scandir(folder.path):
                if entry.name.split(".")[0] not in used:
                    freed += entry.stat().st_size
                    os.unlink(entry.path)
        for kind in ("wheels", "tools"):
            for name in glob.glob(os.path.join(self.store, kind, "*")):
                if os.path.basename(name) not in used:
                    remove_tree(name)
        return freed

    def object_path(self, digest):
        return os.path.join(self.store, "objects", digest[:2], digest)

    def has_object(self, digest, size):
        try:
            return os.stat(self.object_path(digest)).st_size == size
        except OSError:
            return False


# ---------------------------------------------------------------- the service


class Service:
    """The process that a release runs, through its manager's commands, which came as data."""

    def __init__(self, app, spec):
        self.app = app
        self.spec = spec or {}

    def __bool__(self):
        return bool(self.spec)

    def _must(self, argv, step, timeout=120.0):
        code, lines = run(argv, timeout)
        if code != 0:
            raise Refused(
                "service",
                "%s: `%s` %s" % (step, " ".join(argv), how_it_ended(code)),
                command=" ".join(argv),
                returncode=code,
                lines=lines[-20:],
            )
        return lines

    def install(self):
        """Write the manager's files where they differ; return whether anything changed."""
        changed = False
        for item in self.spec["files"]:
            path = os.path.expanduser(item["path"])
            if read_text(path) == item["content"]:
                continue
            changed = True
            if item.get("root"):
                write_as_root(path, item["content"], item["mode"])
            else:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                write_atomic(path, item["content"], item["mode"])
        if changed:
            for argv in self.spec["reload"]:
                self._must(argv, "reload the process manager")
        return changed

    def restart(self):
        self.install()
        for argv in self.spec["restart"]:
            self._must(argv, "restart the service", 60 + self.spec.get("stop_timeout", 15))

    def stop(self):
        for argv in self.spec["stop"]:
            self._must(argv, "stop the service", 60 + self.spec.get("stop_timeout", 15))

    def retire(self):
        """Stop it for good: it does not start with the host either, and leaves no file behind. Best effort."""
        for argv in self.spec["retire"]:
            run(argv, 60 + self.spec.get("stop_timeout", 15))
        for item in self.spec["files"]:
            path = os.path.expanduser(item["path"])
            if item.get("root") and os.geteuid() != 0:
                run(["sudo", "-n", "rm", "-f", path], 20)
            elif os.path.exists(path):
                os.unlink(path)
        for argv in self.spec["forget"]:
            run(argv, 60)

    def drain(self, seconds):
        """Wait until no connection to its port is left, ``seconds`` at most."""
        deadline = time.monotonic() + seconds
        while connections_to(self.spec["port"]) and time.monotonic() < deadline:
            time.sleep(0.1)

    def pid(self):
        _, lines = run(self.spec["pid"], 20)
        numbers = [line.strip() for line in lines if line.strip().isdigit()]
        return int(numbers[-1]) if numbers else 0

    def logs(self, lines=20):
        # Our own health checks may fill an access log: look further back than was asked, and leave them out.
        argv = [word.replace("{lines}", str(lines * 10)) for word in self.spec["logs"]]
        code, output = run(argv, 20)
        return [line for line in output if USER_AGENT not in line][-lines:] if code == 0 else []

    def running_release(self, pid):
        """Return the release that a process itself reports, or "" where it reports none."""
        if not pid:
            return ""
        environment = process_environment(pid) or {}
        if environment.get("HANDRAIL_RELEASE"):
            return environment["HANDRAIL_RELEASE"]
        folder = process_folder(pid)
        releases = os.path.realpath(self.app.releases) + os.sep
        return folder[len(releases) :].split(os.sep)[0] if folder.startswith(releases) else ""

    def look(self, release=""):
        """Look once: the process, what it reports, and its health.

        Returns:
            {"pid", "running_release", "health": {...}, "ok": bool, "why": str}; ``ok`` is a claim about ``release``
            (where given): this very release runs, listens and answers as healthy.
        """
        pid = self.pid()
        running = self.running_release(pid)
        report = {"pid": pid, "running_release": running, "health": None, "ok": False, "why": ""}
        if not pid:
            report["why"] = "the process is not running"
            return report
        if release and running != release:
            report["why"] = "the running process (pid %d) reports release %s" % (pid, running or "none")
            if running == "":
                report["why"] = "the running process (pid %d) reports no release" % pid
            return report
        if self.spec["health"]:
            health = ask_health(self.spec)
            report["health"] = health
            if not health["ok"]:
                report["why"] = health["error"]
                return report
            if release and health["release"] not in ("", release):
                report["why"] = "the health answer came from release %s" % health["release"]
                return report
            owners = listeners(self.spec["port"]) if release else None
            if owners:
                reported = {self.running_release(owner) for owner in owners}
                if release not in reported:
                    report["why"] = "port %d is answered by pid %d, which is not release %s" % (
                        self.spec["port"],
                        owners[0],
                        release,
                    )
                    return report
        report["ok"] = True
        return report

    def wait_until_healthy(self, release, stop=None):
        """Wait until ``release`` runs and is healthy, or ``stop`` is set; return the last look, ``ok`` or not."""
        deadline = time.monotonic() + self.spec["health_timeout"]
        down_since = None
        pause = self.spec["health_interval"]
        while True:
            report = self.look(release)
            now = time.monotonic()
            if report["ok"]:
                # A process that dies right after its first answer, or serves no health path, must be seen again.
                if not self.spec["health"]:
                    time.sleep(min(1.0, self.spec["health_timeout"] / 2))
                    again = self.look(release)
                    if not again["ok"] or again["pid"] != report["pid"]:
                        report["ok"], report["why"] = False, "the process did not stay up"
                        if now < deadline:
                            continue
                return report
            down_since = (down_since or now) if not report["pid"] else None
            if stop is not None and stop.is_set():
                report["why"] = "stopped: %s" % report["why"]
                return report
            if now > deadline or (down_since and now - down_since > min(6.0, self.spec["health_timeout"])):
                return report
            # Quick at first, because most releases are; then rarer, so as not to drown the service's log.
            time.sleep(pause)
            pause = min(pause * 1.3, max(2.0, self.spec["health_interval"]))


class Proxy:
    """The web server in front of the service: which instance it serves, and how to change that."""

    def __init__(self, spec):
        self.spec = spec

    def live_port(self):
        """Return the instance's port that the proxy serves, by the file that it looks at; 0 for none."""
        text = "" if self.spec["flags"] else read_text(self.spec["path"])
        for name, port in self.spec["ports"].items():
            if self.spec["flags"]:
                if os.path.exists(self.spec["flags"][name]):
                    return port
            elif re.search(r"127\.0\.0\.1:%d\b" % port, text):
                return port
        return 0

    def ask_admin(self):
        host, _, port = self.spec["admin"].partition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=5)
        try:
            connection.request("GET", "/config/apps/http")
            return connection.getresponse().read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException):
            return ""
        finally:
            connection.close()

    def point(self, name):
        """Serve an instance. What was configured before comes back where the proxy does not take the new file."""
        before, content = read_text(self.spec["path"]), self.spec["contents"][name]
        if not self.spec["flags"]:
            # Also where it is the same: a reload may have been cut off.
            self.load(before, content)
            return
        self.raise_flag(self.spec["flags"][name])
        if before != content or "127.0.0.1:%d" % self.spec["ports"][name] not in self.ask_admin():
            self.load(before, content)

    def raise_flag(self, wanted):
        """Move the one flag to its new name: one rename, so that there is always exactly one."""
        present = [flag for flag in sorted(set(self.spec["flags"].values())) if os.path.exists(flag)]
        if present == [wanted]:
            return
        if not present:
            self.write_file(wanted, "")
            return
        for flag in present:
            if self.spec["root"] and os.geteuid() != 0:
                argv = ["sudo", "-n", "mv", "-f", flag, wanted]
                code, lines = run(argv, 20)
                if code != 0:
                    raise Refused("proxy", "cannot move %s with sudo" % flag, command=" ".join(argv), lines=lines)
            else:
                os.replace(flag, wanted)

    def load(self, before, content):
        """Write the configuration, test it and make it take effect."""
        self.write_file(self.spec["path"], content)
        for argv in self.spec["test"] + self.spec["reload"]:
            code, lines = run(argv, 60)
            if code != 0:
                if before:
                    self.write_file(self.spec["path"], before)
                raise Refused(
                    "proxy",
                    "the proxy refused the switch: `%s` %s" % (" ".join(argv), how_it_ended(code)),
                    command=" ".join(argv),
                    returncode=code,
                    lines=lines[-20:],
                )

    def write_file(self, path, content):
        if self.spec["root"]:
            write_as_root(path, content, 0o644)
        else:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            write_atomic(path, content, 0o644)

    def problems(self):
        """Return why it cannot be used, as sentences."""
        for argv in self.spec["check"]:
            code, lines = run(argv, 20)
            if code != 0:
                last = ": " + lines[-1] if lines else ""
                return ["the proxy cannot be used: `%s` %s%s" % (" ".join(argv), how_it_ended(code), last)]
        line, place = self.spec["include_line"], self.spec["included_by"]
        if line and line not in [each.strip() for each in read_text(place).splitlines()]:
            return ["the proxy's %s lacks the line: %s" % (place, line)]
        if self.spec["admin"] and not self.ask_admin():
            return ["the proxy does not answer on its admin address %s" % self.spec["admin"]]
        return []


class Instances:
    """The processes that may serve an app here: ``web``, and the slots of blue-green."""

    def __init__(self, app, spec):
        self.app = app
        self.spec = spec or {}
        self.proxy = Proxy(spec["proxy"]) if self.spec.get("proxy") else None
        self.specs = {}
        if spec:
            self.specs["web"] = spec
            # A host that never was blue-green has no slots, and is not asked for them.
            if spec.get("strategy") == "blue-green" or os.path.isdir(app.path("slots")):
                self.specs.update(spec.get("slots") or {})

    def service(self, name):
        return Service(self.app, self.specs.get(name) or {})

    def release(self, name):
        """Return the release that an instance is linked to."""
        return self.app.current_release() if name == "web" else self.app.slot_release(name)

    def live(self):
        """Return the name of the instance that serves: by the proxy's word, else by what runs; "" for none."""
        if len(self.specs) < 2:
            return "web" if self.specs and self.app.current_release() else ""
        port = self.proxy.live_port() if self.proxy else 0
        behind = [name for name, spec in self.specs.items() if spec["port"] == port]
        for name in behind + [name for name in self.specs if name not in behind]:
            if self.service(name).pid():
                return name
        current = self.app.current_release()
        linked = [name for name in ("blue", "green") if current and self.release(name) == current]
        return [*linked, "web"][0] if current else ""

    def goal(self, live):
        """Return the instance that the next release starts in."""
        if self.spec.get("strategy") != "blue-green":
            return "web"
        taken = self.specs[live]["port"] if live else 0
        return next(name for name in ("blue", "green") if name != live and self.specs[name]["port"] != taken)

    def others(self, name):
        """Return the instances that run beside ``name``."""
        return [other for other in self.specs if other != name and self.service(other).pid()]


# ---------------------------------------------------------------- the transaction

# Steps from which a host has to return.
ACTIVE = ("activating", "activated", "switching", "switched")


class Transaction:
    """The journal of one deploy or rollback on this host: ``tx/state.json`` and the files beside it."""

    def __init__(self, app):
        self.app = app

    def path(self, name):
        return os.path.join(self.app.tx, name)

    def state(self):
        return read_json(self.path("state.json"))

    def begin(self, state):
        remove_tree(self.app.tx)
        os.makedirs(self.app.tx, mode=0o700)
        self.write(state)

    def write(self, state):
        write_atomic(self.path("state.json"), json.dumps(state, sort_keys=True))

    def update(self, **changes):
        state = self.state()
        state.update(changes)
        self.write(state)
        return state

    def decide(self, decision):
        """Try to decide; return the decision that holds, which may be somebody else's."""
        temporary = self.path("decision.%d.%d.tmp" % (os.getpid(), time.monotonic_ns()))
        with open(temporary, "w", encoding="ascii") as stream:
            stream.write(decision)
            stream.flush()
            os.fsync(stream.fileno())
        try:
            # link(2) fails when the name exists, and the file is complete the moment it appears.
            os.link(temporary, self.path("decision"))
            sync_folder(self.app.tx)
        except FileExistsError:
            pass
        finally:
            os.unlink(temporary)
        return self.decision()

    @contextlib.contextmanager
    def acting(self):
        """Keep the agent and the guardian from moving links and traffic at the same time."""
        fd = os.open(self.path("acting"), os.O_RDWR | os.O_CREAT, 0o600)
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

    def finish(self):
        remove_tree(self.app.tx)

    def perform_return(self, reason):
        """Bring back the release that served before; idempotent. Returns the outcome that it recorded."""
        with self.acting():
            return self.perform_return_alone(reason)

    def perform_return_alone(self, reason):
        state = self.state()
        previous = state.get("from") or ""
        instances = Instances(self.app, state.get("service"))
        live, goal = state.get("live") or "", state.get("goal") or "web"
        service = instances.service(goal)
        outcome = {"ok": True, "serves": previous, "why": "", "reason": reason}
        try:
            if previous and live and live != goal:
                self.return_to(instances, live, goal, previous, outcome)
                service = None
            else:
                self.app.switch(previous)
            if service and previous:
                if not service.look(previous)["ok"]:
                    service.restart()
                report = service.wait_until_healthy(previous)
                if not report["ok"]:
                    outcome["ok"], outcome["why"] = False, report["why"]
            elif service and service.pid():
                service.stop()
        except (Refused, OSError) as error:
            outcome["ok"], outcome["why"] = False, str(error)
        entry = {
            "release": state["release"],
            "from": previous or None,
            "to": previous or None,
            "kind": state.get("kind", "deploy"),
            "result": "returned" if outcome["ok"] else "return-failed",
            "reason": reason,
            "who": state.get("who", ""),
            "commit": state.get("commit", ""),
            "bundle": state.get("bundle", ""),
            "deploy": state["deploy"],
            "finished": time.time(),
            "seconds": {},
        }
        # A rollback's goal is a good release, which is never given up.
        if entry["kind"] == "rollback":
            self.app.record(entry)
        else:
            self.app.make_room(state["release"], lambda: self.app.record(entry))
        self.update(step="returned", outcome=outcome)
        return outcome

    def return_to(self, instances, live, goal, previous, outcome):
        """Bring the instance back that served before, which as a rule still runs, and end the new one."""
        old, new = instances.service(live), instances.service(goal)
        if old.spec["port"] == new.spec["port"]:
            new.retire()
        if live != "web":
            self.app.link_slot(live, previous)
        self.app.switch(previous)
        if not old.look(previous)["ok"]:
            old.restart()
        report = old.wait_until_healthy(previous)
        if not report["ok"]:
            outcome["ok"], outcome["why"] = False, report["why"]
        # Also where it seems to point there: a reload may have been cut off.
        if instances.proxy:
            instances.proxy.point(live)
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


def commit_history(app, transaction, seconds=None):
    state = transaction.state()
    entry = {
        "release": state["release"],
        "from": state.get("from") or None,
        "to": state["release"],
        "kind": state.get("kind", "deploy"),
        "result": "good",
        "who": state.get("who", ""),
        "commit": state.get("commit", ""),
        "version": state.get("version", ""),
        "bundle": state.get("bundle", ""),
        "migrated": bool(state.get("migrated")),
        "missing": state.get("missing") or [],
        "slot": state.get("goal") if state.get("goal") in ("blue", "green") else "",
        "deploy": state["deploy"],
        "started": state.get("since"),
        "finished": time.time(),
        "seconds": seconds or {},
    }
    known = [e for e in app.history() if e.get("deploy") == state["deploy"] and e.get("result") == "good"]
    if not known:
        app.record(entry)
    transaction.finish()
    return entry


def guard(folder):
    """The guardian: wait for a decision or for the lease to run out; carry out a return.

    It inherits the lock's descriptor, so the lock stays taken until the host is in a decided state.
    """
    app = App(os.path.dirname(folder), os.path.basename(folder))
    transaction = Transaction(app)
    state = transaction.state()
    lease = state["lease"]
    seen, heard = None, time.monotonic()
    while True:
        decision = transaction.decision()
        if decision == "commit" or (transaction.state() or {}).get("deploy") != state["deploy"]:
            return
        if decision == "return":
            transaction.perform_return(read_text(transaction.path("reason")) or "told to")
            return
        try:
            mark = os.stat(transaction.path("lease")).st_mtime_ns
        except OSError:
            mark = None
        # Only changes of the mark count, never its value: the host's clock may jump.
        if mark != seen:
            seen, heard = mark, time.monotonic()
        if time.monotonic() - heard > lease:
            if transaction.decide("return") == "return":
                transaction.perform_return("the lease of %.0f s ran out without a word from the client" % lease)
            return
        time.sleep(0.05)


# ---------------------------------------------------------------- requests


class Agent:
    """Serves one client; each ``op_*`` method is a request."""

    def __init__(self, source, stdin, stdout):
        self.source = source
        self.stdin = stdin
        self.stdout = stdout
        self.out_lock = threading.Lock()
        self.requests = queue.Queue(maxsize=8)
        self.gone = threading.Event()
        self.stop = threading.Event()
        self.heard = time.monotonic()
        self.silence = 3600.0
        self.received = 0
        self.app = None
        self.lock_fd = None
        self.manifest = None
        self.serving = None
        self.syncing = None
        self.guardian = None

    # -- plumbing

    def send(self, document):
        data = (json.dumps(document) + "\n").encode()
        try:
            with self.out_lock:
                self.stdout.write(data)
                self.stdout.flush()
        except (OSError, ValueError):
            self.lose_client()

    def event(self, **facts):
        self.send({"id": self.serving, "event": facts})

    def read_requests(self):
        """Runs in a thread: takes pings at once, queues the rest, notices the client's death."""
        try:
            while True:
                line = self.stdin.readline()
                if not line:
                    break
                self.heard = time.monotonic()
                self.received += len(line)
                request = json.loads(line)
                payload = b""
                if request.get("bytes"):
                    payload = self.stdin.read(request["bytes"])
                    if len(payload) < request["bytes"]:
                        break
                    self.received += len(payload)
                    self.heard = time.monotonic()
                if request["op"] == "ping":
                    if self.app and self.lock_fd is not None:
                        Transaction(self.app).renew_lease()
                    continue
                if request["op"] == "cancel":
                    self.stop.set()
                    continue
                self.requests.put((request, payload))
        except (OSError, ValueError):
            pass
        self.lose_client()
        self.requests.put((None, b""))

    def lose_client(self):
        self.gone.set()
        self.stop.set()

    def watch_silence(self):
        """Runs in a thread: a connection that is cut without a word looks open for hours; both sides' beats tell."""
        while not self.gone.wait(2.0):
            self.send({"beat": 1})
            if time.monotonic() - self.heard > self.silence:
                self.lose_client()
                try:
                    self.requests.put_nowait((None, b""))
                except queue.Full:
                    pass

    def next_request(self):
        while True:
            try:
                return self.requests.get(timeout=1.0)
            except queue.Empty:
                if self.gone.is_set():
                    return None, b""
                continue

    def serve(self):
        threading.Thread(target=self.read_requests, daemon=True).start()
        threading.Thread(target=self.watch_silence, daemon=True).start()
        self.send({"marker": MARKER})
        while True:
            request, payload = self.next_request()
            if request is None or request["op"] == "bye":
                break
            if request["op"] in ("data", "end"):
                continue  # the rest of an upload that was refused in the middle
            self.serving = request["id"]
            if not self.gone.is_set():
                self.stop.clear()
            try:
                result = getattr(self, "op_" + request.pop("op"))(request, payload)
                self.send({"id": self.serving, "ok": True, "result": result})
            except Refused as error:
                self.fail(error.kind, str(error), **error.facts)
            except OSError as error:
                kind = "disk-full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "os"
                self.fail(kind, "%s%s" % (error.strerror, ": " + str(error.filename) if error.filename else ""))
            except Exception as error:
                import traceback

                self.fail("bug", "%s: %s" % (type(error).__name__, error), lines=traceback.format_exc().splitlines())

    def fail(self, kind, message, **facts):
        error = {"kind": kind, "message": message}
        error.update(facts)
        self.send({"id": self.serving, "ok": False, "error": error})

    # -- looking

    def op_hello(self, request, _payload):
        """Say what this host is and what is on it; changes nothing."""
        self.app = App(request["root"], request["app"])
        self.silence = max(5.0, request.get("silence", 3600.0))
        return {
            "host": socket.gethostname(),
            "user": user_name(),
            "uid": os.geteuid(),
            "home": os.path.expanduser("~"),
            "folder": self.app.folder,
            "system": platform.system(),
            "machine": platform.machine(),
            "libc": list(libc_version()),
            "pythons": find_pythons(),
            "supervisor": find_supervisor(),
            "clock": time.time(),
            "disk": disk(self.app.folder),
            "writable": is_writable(self.app.folder),
            "current": self.app.current_release(),
            "good": self.app.good_releases(),
            "history": self.app.history()[-200:],
            "transaction": public_state(Transaction(self.app).state()),
            "decision": Transaction(self.app).decision(),
            "lock": self.lock_state(),
        }

    def op_status(self, request, _payload):
        instances = Instances(self.app, request.get("service"))
        live = instances.live()
        service = instances.service(live or "web")
        report = service.look() if service else None
        return {
            "slot": live if live in ("blue", "green") else "",
            "proxy_port": instances.proxy.live_port() if instances.proxy else None,
            "current": self.app.current_release(),
            "good": self.app.good_releases(),
            "history": self.app.history()[-200:],
            "service": report,
            "disk": disk(self.app.folder),
            "lock": self.lock_state(),
            "transaction": public_state(Transaction(self.app).state()),
        }

    def op_logs(self, request, _payload):
        instances = Instances(self.app, request["service"])
        service = instances.service(instances.live() or "web")
        if not request.get("follow"):
            return {"lines": service.logs(request["lines"])}
        argv = [word.replace("{lines}", str(request["lines"])) for word in service.spec["logs_follow"]]
        code, lines = run(argv, 1e9, gone=self.stop, emit=lambda line: self.event(line=line))
        if code != 0 and not self.stop.is_set():
            raise Refused("service", "`%s` %s" % (" ".join(argv), how_it_ended(code)), lines=lines[-5:])
        return {"lines": []}

    def op_release_facts(self, request, _payload):
        """Return a release's manifest and its variables' names and digests, never their values."""
        release = request["release"]
        manifest = read_json(self.app.release(release, ".handrail", "manifest.json")) or {}
        names = read_json(self.app.release(release, ".handrail", "variables.json")) or {}
        return {"manifest": manifest, "variables": names}

    def op_preflight(self, request, _payload):
        """Return the reasons why a deploy would fail here, as a list of sentences; changes nothing."""
        problems = []
        app = self.app
        if not is_writable(app.folder):
            problems.append("%s cannot be written by user %s" % (app.folder, user_name()))
        room = disk(app.folder)
        need = request["need_bytes"] + request["reserve_bytes"]
        if room["free"] < need:
            problems.append(
                "the disk of %s has %.1f MiB free; this release needs %.1f MiB and a reserve of %d MiB"
                % (
                    app.folder,
                    room["free"] / 2**20,
                    request["need_bytes"] / 2**20,
                    request["reserve_bytes"] >> 20,
                )
            )
        if room["inodes"] and room["inodes_free"] < request["need_inodes"] + 1000:
            problems.append(
                "the disk of %s has %d inodes free; this release needs %d"
                % (app.folder, room["inodes_free"], request["need_inodes"])
            )
        if request.get("python"):
            path = find_pythons().get(request["python"])
            code = run([path, "-c", "import ssl, zlib"], 20)[0] if path else 1
            if code != 0:
                problems.append("no working python%s was found" % request["python"])
        instances = Instances(app, request.get("service"))
        service = instances.service(instances.goal(instances.live())) if instances.specs else Service(app, None)
        if instances.proxy:
            problems.extend(instances.proxy.problems())
        if service:
            for argv in service.spec["check"]:
                code, lines = run(argv, 20)
                if code != 0:
                    problems.append(
                        "the process manager cannot be used: `%s` %s%s"
                        % (" ".join(argv), how_it_ended(code), ": " + lines[-1] if lines else "")
                    )
                    break
            else:
                problems.extend(self.port_problems(service))
        return {"problems": problems}

    def port_problems(self, service):
        port = service.spec["port"]
        owners = listeners(port)
        if owners is None:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                return []
            # Somebody listens, but whose process it is cannot be seen: believe a running service of ours.
            return [] if service.pid() else ["port %d is in use by a process of another user" % port]
        for owner in owners:
            environment = process_environment(owner) or {}
            if environment.get("HANDRAIL_APP") != self.app.name and not service.running_release(owner):
                command = read_text("/proc/%d/cmdline" % owner).replace("\0", " ").strip()[:80]
                return ["port %d is in use by pid %d (%s)" % (port, owner, command or "unknown")]
        return []

    # -- the lock

    def lock_state(self):
        holder = read_json(self.app.path("lock"))
        if self.lock_fd is not None:
            return {"held": True, "holder": holder}
        try:
            fd = os.open(self.app.path("lock"), os.O_RDONLY)
        except OSError:
            return {"held": False, "holder": None}
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return {"held": False, "holder": None}
        except OSError:
            return {"held": True, "holder": holder}
        finally:
            os.close(fd)

    def op_lock(self, request, _payload):
        """Take the host's deploy lock, waiting up to ``wait`` seconds; then finish what a dead deploy left."""
        if not is_writable(self.app.folder):
            raise Refused("os", "%s cannot be written by user %s" % (self.app.folder, user_name()))
        self.app.make_folders()
        fd = os.open(self.app.path("lock"), os.O_RDWR | os.O_CREAT, 0o644)
        # Half a second at least: `inv status` probes the lock for an instant.
        deadline = time.monotonic() + max(0.5, request.get("wait", 0))
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > deadline or self.gone.is_set():
                    os.close(fd)
                    state = Transaction(self.app).state()
                    raise Refused(
                        "locked",
                        "the deploy lock is held",
                        holder=read_json(self.app.path("lock")),
                        transaction=public_state(state),
                    ) from None
                time.sleep(0.05)
        self.lock_fd = fd
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps(request["holder"]).encode(), 0)
        recovered = Transaction(self.app).recover()
        state = Transaction(self.app).state()
        return {"recovered": recovered, "transaction": public_state(state), "number": self.app.last_number()}

    def op_unlock(self, _request, _payload):
        if self.lock_fd is not None:
            os.close(self.lock_fd)
            self.lock_fd = None
        return {}

    def must_hold_lock(self):
        if self.lock_fd is None:
            raise Refused("bad-request", "the deploy lock is not held")

    # -- upload

    def op_begin(self, request, _payload):
        """Open the transaction; what an earlier one left is recorded as aborted and swept, unless it is resumed."""
        self.must_hold_lock()
        transaction = Transaction(self.app)
        left = transaction.state()
        state = request["state"]
        if left and left["deploy"] == state["deploy"]:
            # Resumed. After a return the release is still whole: its way goes on from "prepared".
            if left["step"] == "returned":
                for name in ("decision", "lease", "reason"):
                    if os.path.exists(transaction.path(name)):
                        os.unlink(transaction.path(name))
                left = transaction.update(step="migrated" if left.get("migrated") else "prepared", outcome=None)
            return {"state": public_state(left), "swept": []}
        if left and left["step"] != "returned":
            self.record_aborted(left)
        if state.get("kind") == "rollback":
            manifest = read_json(self.app.release(state["release"], ".handrail", "manifest.json")) or {}
            state.update(commit=manifest.get("commit", ""), version=manifest.get("version", ""))
            state["bundle"] = manifest.get("digest", "")
        state["from"] = self.app.current_release() or None
        state["step"] = "begun"
        transaction.begin(state)
        swept = self.app.sweep(state["release"] if state.get("kind") == "rollback" else "")
        removed, used = self.app.prune(request["keep"], state["release"])
        used.update(request.get("digests", []))
        freed = self.app.collect_garbage(used) if removed or swept else 0
        return {"state": public_state(state), "swept": swept, "pruned": removed, "freed": freed}

    def record_aborted(self, state, result="aborted", reason=""):
        entry = {key: state.get(key) for key in ("release", "from", "kind", "who", "commit", "bundle", "deploy")}
        entry.update(result=result, reason=reason, step=state["step"], finished=time.time(), seconds={})
        entry["to"] = state.get("from")
        self.app.record(entry)

    def op_offer(self, _request, payload):
        """Take the manifest; say which of its objects are not here, as indices into its unique digests."""
        self.manifest = json.loads(zlib.decompress(payload))
        missing, seen = [], set()
        index = 0
        for member in self.manifest["members"]:
            if member["kind"] == "link" or member["sha256"] in seen:
                continue
            if not DIGEST.match(member["sha256"]):
                raise Refused("bad-request", "the manifest holds a malformed digest")
            seen.add(member["sha256"])
            if not self.app.has_object(member["sha256"], member["size"]):
                missing.append(index)
            index += 1
        return {"missing": missing}

    def op_put(self, request, _payload):
        """Receive objects as one stream, compressed or not; each counts only once its digest is right."""
        self.must_hold_lock()
        receiver = Receiver(self.app, request["objects"])
        unpack = zlib.decompressobj() if request["compressed"] else None
        while True:
            frame, payload = self.next_request()
            if frame is None:
                raise Refused("cut", "the upload was cut")
            if frame["op"] == "end":
                if unpack:
                    receiver.feed(unpack.flush())
                break
            receiver.feed(unpack.decompress(payload) if unpack else payload)
        if receiver.wanted is not None:
            raise Refused("cut", "the upload ended before its last object")
        return {"stored": receiver.stored, "received": self.received}

    # -- prepare

    def op_prepare(self, request, _payload):
        """Make the release complete in its own folder: code, environment, settings. Nothing serves it yet."""
        self.must_hold_lock()
        release = request["release"]
        folder = self.app.release(release)
        transaction = Transaction(self.app)
        if self.app.is_complete(release) and transaction.state().get("step") in ("prepared", "migrated"):
            return {"reused": True}
        remove_tree(folder)
        os.makedirs(os.path.join(folder, ".handrail"), mode=0o755)
        self.place_files(folder)
        self.place_shared(folder, request["shared"])
        meta = os.path.join(folder, ".handrail")
        write_atomic(os.path.join(meta, "env"), request["env"], 0o600)
        write_atomic(os.path.join(meta, "variables.json"), json.dumps(request["variables"]), 0o600)
        for name, text in request["launchers"].items():
            write_atomic(inside(meta, "run-" + name), text, 0o755)
        wheels = [m for m in self.manifest["members"] if m["kind"] == "wheel"]
        if self.manifest.get("python"):
            self.make_environment(folder, wheels)
        write_atomic(os.path.join(meta, "manifest.json"), json.dumps(self.manifest), 0o644)
        write_atomic(os.path.join(meta, "state"), "complete\n", 0o644)
        transaction.update(step="prepared")
        # The data must be on the disk before a switch points at it; it gets there while others still prepare.
        self.syncing = threading.Thread(target=os.sync, daemon=True)
        self.syncing.start()
        return {"reused": False}

    def place_files(self, folder):
        made = {folder}
        for member in self.manifest["members"]:
            if member["kind"] not in ("file", "link"):
                continue
            path = inside(folder, member["path"])
            parent = os.path.dirname(path)
            if parent not in made:
                os.makedirs(parent, exist_ok=True)
                made.add(parent)
            if member["kind"] == "link":
                target = os.path.normpath(os.path.join(os.path.dirname(member["path"]), member["target"]))
                if target.startswith("..") or os.path.isabs(member["target"]):
                    raise Refused("bad-request", "link %r points outside the release" % member["path"])
                os.symlink(member["target"], path)
                continue
            source = self.app.object_path(member["sha256"])
            if member["mode"] & 0o100:
                executable = source + ".x"
                if not os.path.exists(executable):
                    temporary = "%s.%d.tmp" % (executable, os.getpid())
                    shutil.copyfile(source, temporary)
                    os.chmod(temporary, 0o555)
                    os.rename(temporary, executable)
                source = executable
            # A hard link: unchanged files take no space and no time. They are read-only; data goes to shared/.
            try:
                os.link(source, path)
            except OSError as error:
                if error.errno not in (errno.EMLINK, errno.EPERM):
                    raise
                shutil.copyfile(source, path)
                os.chmod(path, 0o555 if member["mode"] & 0o100 else 0o444)

    def place_shared(self, folder, shared):
        for relative in shared:
            target = inside(self.app.path("shared"), relative)
            path = inside(folder, relative)
            if os.path.splitext(relative)[1] == "":
                os.makedirs(target, exist_ok=True)
            else:
                os.makedirs(os.path.dirname(target), exist_ok=True)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if os.path.lexists(path):
                remove_tree(path)
            os.symlink(target, path)

    def make_environment(self, folder, wheels):
        uv = self.find_uv()
        python = find_pythons().get(self.manifest["python"])
        if not python:
            raise Refused("python", "no python%s on this host" % self.manifest["python"])
        environment = dict(os.environ)
        for name in list(environment):
            if name.startswith(("UV_", "VIRTUAL_ENV", "PYTHON", "CONDA")):
                del environment[name]
        environment.update(
            UV_CACHE_DIR=os.path.join(self.app.store, "uv-cache"),
            UV_OFFLINE="1",
            UV_NO_CONFIG="1",
            UV_PYTHON_DOWNLOADS="never",
            UV_NO_PROGRESS="1",
        )
        target = os.path.join(folder, ".venv")
        self.command([uv, "venv", "--no-project", "--python", python, target], environment, "make the environment")
        paths = []
        for wheel in wheels:
            # uv caches an unpacked wheel by path and time: the path must stay the same from release to release.
            path = os.path.join(self.app.store, "wheels", wheel["sha256"], os.path.basename(wheel["path"]))
            if not os.path.exists(path):
                os.makedirs(os.path.dirname(path), exist_ok=True)
                os.link(self.app.object_path(wheel["sha256"]), path)
            paths.append(path)
        if paths:
            argv = [
                uv,
                "pip",
                "install",
                "--no-deps",
                "--no-index",
                "--python",
                os.path.join(target, "bin", "python"),
            ]
            self.command(argv + paths, environment, "install %d wheels" % len(paths))

    def command(self, argv, environment, what):
        code, lines = run(argv, 600, env=environment, gone=self.stop)
        if code != 0:
            raise Refused(
                "command", "%s: %s %s" % (what, os.path.basename(argv[0]), how_it_ended(code)),
                command=" ".join(argv[:6]), returncode=code, lines=lines[-20:],
            )  # fmt: skip

    def find_uv(self):
        """Return uv's path: the bundle's own, unpacked once; else the host's."""
        for member in self.manifest["members"]:
            if member["kind"] != "tool":
                continue
            folder = os.path.join(self.app.store, "tools", member["sha256"])
            program = os.path.join(folder, "uv")
            if not os.path.exists(program):
                import zipfile

                os.makedirs(folder, exist_ok=True)
                with zipfile.ZipFile(self.app.object_path(member["sha256"])) as archive:
                    name = next((n for n in archive.namelist() if n.endswith("/scripts/uv")), None)
                    if name is None:
                        raise Refused("command", "the bundle's uv wheel holds no uv program")
                    temporary = "%s.%d.tmp" % (program, os.getpid())
                    with archive.open(name) as packed, open(temporary, "wb") as unpacked:
                        shutil.copyfileobj(packed, unpacked)
                os.chmod(temporary, 0o755)
                os.rename(temporary, program)
            return program
        found = shutil.which("uv") or os.path.expanduser("~/.local/bin/uv")
        if not os.access(found, os.X_OK):
            raise Refused("command", "neither the bundle nor this host has uv")
        return found

    def op_migrate(self, _request, _payload):
        """Run the release's migration here. A client that dies meanwhile does not stop it half-way."""
        self.must_hold_lock()
        transaction = Transaction(self.app)
        state = transaction.state()
        launcher = self.app.release(state["release"], ".handrail", "run-migrate")
        transaction.update(step="migrating")
        code, lines = run([launcher], 3600, emit=lambda line: self.event(line=line))
        if code != 0:
            transaction.update(step="prepared")
            raise Refused(
                "command", "the migration %s" % how_it_ended(code),
                command="migrate", returncode=code, lines=lines[-30:],
            )  # fmt: skip
        transaction.update(step="migrated", migrated=True)
        return {}

    # -- activate, verify, decide

    def op_activate(self, request, _payload):
        """Switch to the release and restart its service, with a guardian who returns if nobody commits."""
        self.must_hold_lock()
        transaction = Transaction(self.app)
        state = transaction.state()
        release = state["release"]
        if not self.app.is_complete(release):
            raise Refused("bad-request", "release %s is not complete on this host" % release)
        if self.syncing:
            self.syncing.join()
        instances = Instances(self.app, request.get("service"))
        live = instances.live()
        goal = instances.goal(live) if instances.specs else "web"
        state = transaction.update(
            step="activating", service=request.get("service"), lease=request["lease"], live=live, goal=goal
        )
        with open(transaction.path("lease"), "w", encoding="ascii"):
            pass
        self.start_guardian(transaction)
        if goal == "web":
            self.app.switch(release)
        else:
            self.app.link_slot(goal, release)
        service = instances.service(goal)
        if service:
            if live and live != goal and instances.specs[live]["port"] == service.spec["port"]:
                instances.service(live).stop()
            try:
                service.restart()
            except Refused as error:
                # Why it did not start, the service says better than its manager.
                error.facts["lines"] = error.facts.get("lines", []) + service.logs(20)
                raise
        transaction.update(step="activated")
        moves = bool(live) and live != goal
        if service and instances.proxy:
            moves = moves or instances.proxy.live_port() != service.spec["port"]
        return {"from": state["from"], "moves": moves or goal != "web"}

    def start_guardian(self, transaction):
        program = transaction.path("agent.py")
        with open(program, "wb") as stream:
            stream.write(self.source)
        log = open(transaction.path("guardian.log"), "ab")
        process = subprocess.Popen(
            [sys.executable, program, "guard", self.app.folder],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[self.lock_fd],
            start_new_session=True,
            cwd="/",
        )
        log.close()
        self.guardian = process

    def dismiss_guardian(self):
        """Wait until the guardian has seen the decision: it shares the lock, which must be free when we say so."""
        if self.guardian is not None:
            try:
                self.guardian.wait(5)
            except subprocess.TimeoutExpired:
                pass

    def op_verify(self, _request, _payload):
        """Wait until the new release proves that it runs and is healthy, or say why it does not."""
        transaction = Transaction(self.app)
        state = transaction.state()
        instances = Instances(self.app, state.get("service"))
        goal = state.get("goal") or "web"
        if instances.release(goal) != state["release"]:
            raise Refused("unhealthy", "%s points at %s" % (goal, instances.release(goal) or "nothing"))
        service = instances.service(goal)
        if not service:
            return {"health": None}
        report = service.wait_until_healthy(state["release"], self.stop)
        if not report["ok"]:
            raise Refused("unhealthy", report["why"], lines=service.logs(20))
        return report

    def op_switch(self, _request, _payload):
        """Send the traffic to the verified instance, and watch it with traffic before anybody decides."""
        self.must_hold_lock()
        transaction = Transaction(self.app)
        state = transaction.state()
        instances = Instances(self.app, state.get("service"))
        service = instances.service(state["goal"])
        with transaction.acting():
            if transaction.decision():
                raise Refused("returned", "this host has already decided to %s" % transaction.decision())
            transaction.update(step="switching")
            if instances.proxy:
                instances.proxy.point(state["goal"])
            self.app.switch(state["release"])
            switched = time.time()
        deadline = time.monotonic() + instances.spec.get("watch", 0.0)
        while True:
            report = service.look(state["release"])
            if not report["ok"]:
                raise Refused("unhealthy", "with traffic: %s" % report["why"], lines=service.logs(20))
            if time.monotonic() >= deadline or self.stop.wait(0.25):
                break
        with transaction.acting():
            if not transaction.decision():
                transaction.update(step="switched")
        return {"switched": switched, "health": report["health"]}

    def op_retire(self, request, _payload):
        """After a commit: let the requests in the instances that no longer serve end, and stop those."""
        self.must_hold_lock()
        instances = Instances(self.app, request["service"])
        if not instances.specs:
            return {"retired": []}
        live = instances.live()
        if instances.release(live) != self.app.current_release():
            raise Refused("bad-request", "%s serves %s" % (live, instances.release(live) or "nothing"))
        retired = instances.others(live)
        for name in retired:
            old = instances.service(name)
            old.drain(request["drain"])
            old.retire()
        return {"retired": retired}

    def op_commit(self, request, _payload):
        """Decide to keep the new release, unless the lease has already decided otherwise."""
        transaction = Transaction(self.app)
        state = transaction.state()
        if not state or state["deploy"] != request["deploy"]:
            done = [e for e in self.app.history() if e.get("deploy") == request["deploy"]]
            if done and done[-1].get("result") == "good":
                return {"entry": done[-1]}
            raise Refused(
                "returned", "this host has already returned to %s" % (self.app.current_release() or "nothing")
            )
        if request.get("missing"):
            transaction.update(missing=request["missing"])
        if transaction.decide("commit") != "commit":
            outcome = self.await_outcome(transaction)
            raise Refused("returned", "this host has already returned to %s" % (outcome["serves"] or "nothing"))
        entry = commit_history(self.app, transaction, request.get("seconds"))
        self.dismiss_guardian()
        return {"entry": entry}

    def op_return(self, request, _payload):
        """Bring back the release that served before; or, before activation, forget the new one."""
        transaction = Transaction(self.app)
        state = transaction.state()
        if not state or state["deploy"] != request["deploy"]:
            return {"serves": self.app.current_release(), "ok": True, "why": ""}
        if state["step"] in ACTIVE or state["step"] == "returned":
            write_atomic(transaction.path("reason"), request.get("reason", ""))
            if transaction.decide("return") == "commit":
                raise Refused("committed", "this host has already committed %s" % state["release"])
            outcome = self.await_outcome(transaction)
        else:
            self.must_hold_lock()
            result, reason = request.get("result", "aborted"), request.get("reason", "")
            if state.get("kind") == "rollback":
                self.record_aborted(state, result, reason)
            else:
                self.app.make_room(state["release"], lambda: self.record_aborted(state, result, reason))
            outcome = {"serves": self.app.current_release(), "ok": True, "why": ""}
        self.dismiss_guardian()
        if outcome["ok"]:
            transaction.finish()
            if self.lock_fd is not None:
                self.app.sweep()
        return outcome

    def await_outcome(self, transaction):
        """Wait for the guardian's return; do it here if the guardian is not there any more."""
        while True:
            state = transaction.state() or {}
            if state.get("outcome"):
                return state["outcome"]
            if self.guardian is not None:
                alive = self.guardian.poll() is None
            else:
                alive = self.lock_fd is None and self.lock_state()["held"]
            if not alive:
                state = transaction.state() or {}
                return state.get("outcome") or transaction.perform_return(read_text(transaction.path("reason")))
            time.sleep(0.05)


# ---------------------------------------------------------------- receiving


class Receiver:
    """Cuts one stream of bytes into objects and stores each under its digest.

    Small objects are checked in memory and written under their final name at once, which costs the fewest system
    calls; one that a crash left half written has the wrong size and so does not count (`App.has_object`).
    Large ones are written as they arrive, under a temporary name.
    """

    SMALL = 4 * CHUNK

    def __init__(self, app, objects):
        self.app = app
        self.left = iter(objects)
        self.pending = bytearray()
        self.writer = None
        self.stored = 0
        for name in {digest[:2] for digest, _size in objects}:
            os.makedirs(os.path.join(app.store, "objects", name), exist_ok=True)
        self.wanted = None
        self.advance()

    def advance(self):
        self.wanted = next(self.left, None)
        # An empty object never arrives as bytes.
        while self.wanted is not None and self.wanted[1] == 0:
            self.store(self.wanted[0], b"")
            self.wanted = next(self.left, None)

    def feed(self, data):
        self.pending += data
        position = 0
        while self.wanted is not None and position < len(self.pending):
            digest, size = self.wanted
            if size <= self.SMALL:
                if len(self.pending) - position < size:
                    break
                self.store(digest, self.pending[position : position + size])
                position += size
            else:
                if self.writer is None:
                    self.writer = ObjectWriter(self.app.object_path(digest), digest, size)
                position += self.writer.write(self.pending[position:])
                if not self.writer.is_full():
                    break
                self.writer.close()
                self.writer = None
                self.stored += 1
            self.advance()
        del self.pending[:position]

    def store(self, digest, data):
        if hashlib.sha256(data).hexdigest() != digest:
            raise Refused("digest", "object %s arrived with another content" % digest[:12])
        path = self.app.object_path(digest)
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
        except FileExistsError:
            os.unlink(path)  # half written when an earlier upload died
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
        except OSError:
            os.unlink(path)
            raise
        finally:
            os.close(fd)
        self.stored += 1


class ObjectWriter:
    """Writes one large object as it arrives; it gets its name only when its digest is right."""

    def __init__(self, path, digest, size):
        self.path = path
        self.digest = digest
        self.left = size
        self.temporary = "%s.%d.tmp" % (path, os.getpid())
        self.hash = hashlib.sha256()
        self.stream = open(self.temporary, "wb")

    def write(self, data):
        part = data[: self.left]
        self.stream.write(part)
        self.hash.update(part)
        self.left -= len(part)
        return len(part)

    def is_full(self):
        return self.left == 0

    def close(self):
        self.stream.close()
        if self.hash.hexdigest() != self.digest:
            os.unlink(self.temporary)
            raise Refused("digest", "object %s arrived with another content" % self.digest[:12])
        os.chmod(self.temporary, 0o444)
        os.replace(self.temporary, self.path)


# ---------------------------------------------------------------- facts


def public_state(state):
    """Return a transaction's state without the parts that only this host needs."""
    if not state:
        return None
    return {key: value for key, value in state.items() if key not in ("service",)}


def user_name():
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def libc_version():
    try:
        text = os.confstr("CS_GNU_LIBC_VERSION") or ""
        name, _, version = text.partition(" ")
        if version:
            return name, version
    except (ValueError, OSError, AttributeError):
        pass
    if glob.glob("/lib/ld-musl-*"):
        _, lines = run([glob.glob("/lib/ld-musl-*")[0]], 5)
        match = re.search(r"Version (\S+)", "\n".join(lines))
        return "musl", match.group(1) if match else ""
    return "", ""


def find_pythons():
    """Return {"3.11": path}: real interpreters by minor version, found by name; this one first."""
    found = {"%d.%d" % sys.version_info[:2]: sys.executable}
    home = os.path.expanduser("~")
    folders = [f for f in os.environ.get("PATH", "").split(os.pathsep) if f and not f.endswith("/shims")]
    folders += ["/usr/local/bin", "/usr/bin", "/opt/homebrew/bin", os.path.join(home, ".local", "bin")]
    folders += sorted(glob.glob(os.path.join(home, ".local/share/uv/python/*/bin")), reverse=True)
    folders += sorted(
        glob.glob(os.path.join(os.environ.get("PYENV_ROOT", home + "/.pyenv"), "versions/*/bin")),
        reverse=True,
    )
    for folder in folders:
        for path in glob.glob(os.path.join(folder, "python3.*")):
            match = re.match(r"^python(3\.\d+)$", os.path.basename(path))
            if match and os.access(path, os.X_OK):
                found.setdefault(match.group(1), path)
    return found


def find_supervisor():
    """Return where supervisor is, {"ctl", "conf", "include"}: the user's own first, then the system's."""
    home = os.path.expanduser("~/.supervisor")
    places = [
        (
            os.path.join(home, "bin", "supervisorctl"),
            os.path.join(home, "supervisord.conf"),
            os.path.join(home, "include"),
        ),
        (shutil.which("supervisorctl") or "", "/etc/supervisor/supervisord.conf", "/etc/supervisor/conf.d"),
    ]
    for ctl, conf, include in places:
        if ctl and os.access(ctl, os.X_OK) and os.path.exists(conf):
            return {"ctl": ctl, "conf": conf, "include": include}
    return None


def nearest_folder(path):
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def disk(folder):
    facts = os.statvfs(nearest_folder(folder))
    return {
        "free": facts.f_bavail * facts.f_frsize,
        "total": facts.f_blocks * facts.f_frsize,
        "inodes": facts.f_files,
        "inodes_free": facts.f_favail,
    }


def is_writable(folder):
    return os.access(nearest_folder(folder), os.W_OK | os.X_OK)


def main():
    for number in (signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    if len(sys.argv) == 3 and sys.argv[1] == "guard":
        guard(sys.argv[2])
        return
    os.umask(0o022)
    Agent(SOURCE, sys.stdin.buffer, sys.stdout.buffer).serve()
    # The reader thread may sit in a read for ever: an ordinary exit would wait for its buffer's lock.
    os._exit(0)


if __name__ == "__main__":
    # SOURCE is set by the bootstrap; the guardian runs from a file and does not need it.
    SOURCE = globals().get("SOURCE", b"")
    main()
