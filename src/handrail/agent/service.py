"""The process that a release runs, through its manager's commands, which came as data."""

import contextlib
import os
import re
import signal
import time

from handrail.agent.commands import how_it_ended, run
from handrail.agent.files import read_text, remove_file, write_as_root, write_atomic
from handrail.agent.processes import (
    connections_to,
    listeners,
    process_environment,
    process_folder,
    sees_as_we_do,
)
from handrail.agent.refusal import Refused

USER_AGENT = "handrail-health"
# Seconds that a question to the process manager may take: it answers in milliseconds, or hangs.
QUESTION = 5.0


def ask_health(service):
    """Ask the health path once; return {"ok", "status", "seconds", "error", "release"}."""
    import http.client  # takes as long as all other imports of the agent, and not every agent asks

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


def paths_in(directive):
    words = directive.partition("=")[2].replace('"', " ").replace(":", " ").split()
    return [word.lstrip("-+") for word in words if word.lstrip("-+").startswith("/")]


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
        changed = os.path.exists(self.half_retired())
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
            remove_file(self.half_retired())
        return changed

    def is_installed(self):
        """Tell whether its manager's files are here: it may be stopped, and start with the host."""
        return any(os.path.exists(os.path.expanduser(item["path"])) for item in self.spec["files"])

    def restart(self):
        self.install()
        for argv in self.spec["restart"]:
            try:
                self._must(argv, "restart the service", 60 + self.spec.get("stop_timeout", 15))
            except Refused as error:
                cannot = self.what_the_host_cannot()
                if cannot:
                    raise Refused("service", cannot, **error.facts) from None
                raise

    def what_the_host_cannot(self):
        """Return which directives of the unit systemd failed to set up here, as a sentence, or ""."""
        needs = self.spec.get("needs")
        code = (run(self.spec["ended"], 20)[1] or [""])[-1].strip() if needs else ""
        if code not in (needs or {}):
            return ""
        said = [line for line in self.logs(20) if ": Failed to " in line or ": Failed at " in line]
        # systemd names a path that is missing, and not the directive that asked for it.
        named = [line for line in needs[code] if any(word in " ".join(said) for word in paths_in(line))]
        names = [line.partition("=")[0] for line in named or needs[code]]
        why = said[0].partition(": Failed ")[2] if said else "exit code " + code
        return "systemd on this host cannot set up %s of the unit: failed %s" % (" or ".join(dict.fromkeys(names)), why)

    def begin(self):
        for argv in self.spec["start"]:
            self._must(argv, "start the service", 60)

    def stop(self):
        for argv in self.spec["stop"]:
            self._must(argv, "stop the service", 60 + self.spec.get("stop_timeout", 15))

    def retire(self):
        """Stop it for good: it does not start with the host either, and leaves no file behind. Best effort.

        Returns what failed of it, as a command with how it ended and what it said.
        """
        failed = []

        def attempt(argv, timeout):
            code, lines = run(argv, timeout)
            if code != 0:
                failed.append((argv, how_it_ended(code), lines))

        # Between disabled and deleted its file looks as if it were installed.
        with contextlib.suppress(OSError):
            write_atomic(self.half_retired(), "")
        for argv in self.spec["retire"]:
            attempt(argv, 60 + self.spec.get("stop_timeout", 15))
        for item in self.spec["files"]:
            path = os.path.expanduser(item["path"])
            if item.get("root") and os.geteuid() != 0:
                attempt(["sudo", "-n", "rm", "-f", path], 20)
            else:
                remove_file(path)  # its other instances are retired at the same time
        if not self.is_installed():
            remove_file(self.half_retired())
        for argv in self.spec["forget"]:
            attempt(argv, 60)
        return failed

    def end(self):
        """Stop it for good, as `retire` does, and look.

        Raises:
            Refused: it still runs, or would start with the host.
        """
        failed = self.retire()
        still = "does not end" if self.pid() else "would start again with the host" if self.is_installed() else ""
        if not still:
            return
        message, facts = "%s %s" % (self.spec["name"], still), {}
        if failed:
            argv, how, lines = failed[0]
            message += ": `%s` %s" % (" ".join(argv), how)
            facts = {"command": " ".join(argv), "lines": lines[-20:]}
        raise Refused("service", message, **facts)

    def half_retired(self):
        return self.app.path("retiring-%s" % self.spec["name"])

    def drain(self, seconds):
        """Wait until no connection to its port is left, ``seconds`` at most."""
        deadline = time.monotonic() + seconds
        while connections_to(self.spec["port"]) and time.monotonic() < deadline:
            time.sleep(0.1)

    def pid(self, limit=QUESTION):
        """Return the process's id, 0 where it is not running; refuse where the manager gives no answer.

        ``limit``: seconds that the manager may take to answer.
        """
        argv = self.spec["pid"]
        code, lines = run(argv, limit, grace=0)
        # Any other exit status says nothing: supervisorctl's is an error where the process is not running.
        if code < 0 or code == 127:
            why = "was " + lines[-1] if code == -signal.SIGALRM else ": ".join([how_it_ended(code), *lines[-1:]])
            raise Refused("service", "the process manager gave no answer: `%s` %s" % (" ".join(argv), why))
        numbers = [line.strip() for line in lines if line.strip().isdigit()]
        return int(numbers[-1]) if numbers else 0

    def logs(self, lines=20):
        """Return the last lines for a report on something else; none where they cannot be read."""
        try:
            return self.read_logs(lines)
        except Refused:
            return []

    def read_logs(self, lines):
        """Return the last lines, of which `MOST_LINES` may be asked for; refuse where they cannot be read."""
        kept = []

        def keep(line):
            if USER_AGENT not in line:
                kept.append(line)
                del kept[:-lines]

        # Our own health checks may fill an access log: look further back than was asked, and leave them out.
        argv = [word.replace("{lines}", str(lines * 10)) for word in self.spec["logs"]]
        code, output = run(argv, 20, emit=keep)
        if code != 0:
            why = ": ".join([how_it_ended(code), *output[-1:]])
            raise Refused("service", "cannot read the logs: `%s` %s" % (" ".join(argv), why), lines=output[-5:])
        return kept

    def last_words(self):
        """Return the last lines for somebody who must find out why; what is said over and over counts once."""
        kept, like = [], []
        for line in self.logs(200):
            key = re.sub(r"\d+", "", line)
            if like and key == like[0]:
                like.append(key)
                continue
            kept += ["(%d more like it)" % (len(like) - 1)] if len(like) > 1 else []
            kept.append(line)
            like = [key]
        kept += ["(%d more like it)" % (len(like) - 1)] if len(like) > 1 else []
        return kept[-20:]

    def running_release(self, pid):
        """Return the release of this app that a process itself reports, or "" where it reports none."""
        if not pid:
            return ""
        environment = process_environment(pid) or {}
        # Two apps of one repository may have releases of the same name.
        if environment.get("HANDRAIL_RELEASE") and environment.get("HANDRAIL_APP") == self.app.name:
            return environment["HANDRAIL_RELEASE"]
        folder = process_folder(pid)
        releases = os.path.realpath(self.app.releases) + os.sep
        return folder[len(releases) :].split(os.sep)[0] if folder.startswith(releases) else ""

    def look(self, release="", limit=QUESTION):
        """Look once: the process, what it reports, and its health.

        Returns:
            {"pid", "running_release", "health": {...}, "ok": bool, "why": str}; ``ok`` is a claim about ``release``
            (where given): this very release runs, listens and answers as healthy. ``pid`` is 0 where nothing runs, and
            None where the manager did not say so within ``limit`` seconds.
        """
        report = {"pid": None, "running_release": "", "health": None, "ok": False, "why": ""}
        try:
            pid = report["pid"] = self.pid(limit)
        except Refused as error:
            report["why"] = str(error)
            return report
        running = report["running_release"] = self.running_release(pid)
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
        report["unconfined"] = bool(self.spec.get("confined")) and sees_as_we_do(pid)
        return report

    def wait_until_healthy(self, release, stop=None):
        """Wait until ``release`` runs and is healthy, or ``stop`` is set; return the last look, ``ok`` or not."""
        deadline = time.monotonic() + self.spec["health_timeout"]
        down_since = None
        pause = self.spec["health_interval"]
        # A manager that hangs is asked again: one question must not use up the whole wait.
        limit = max(1.0, min(QUESTION, self.spec["health_timeout"] / 3))
        while True:
            report = self.look(release, limit)
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
            down_since = (down_since or now) if report["pid"] == 0 else None
            if stop is not None and stop.is_set():
                report["why"] = "stopped: %s" % report["why"]
                return report
            if report["pid"] == 0 and (now > deadline or (down_since and now - down_since > 1.0)):
                report["why"] = self.what_the_host_cannot() or report["why"]
            if now > deadline or (down_since and now - down_since > min(6.0, self.spec["health_timeout"])):
                return report
            # Quick at first, because most releases are; then rarer, so as not to drown the service's log.
            time.sleep(pause)
            pause = min(pause * 1.3, max(2.0, self.spec["health_interval"]))
