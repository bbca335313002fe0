"""The web server in front of the service: which instance it serves, and how to change that."""

import contextlib
import os
import re
import time

from handrail.agent.commands import how_it_ended, run
from handrail.agent.files import entries, read_text, remove_file, write_as_root, write_atomic
from handrail.agent.refusal import Refused

# Seconds that a proxy has for a reload; one with many sites takes some.
LOADED_WITHIN = 10


class Proxy:
    """The web server in front of the service: which instance it serves, and how to change that."""

    def __init__(self, spec):
        self.spec = spec

    def live_port(self):
        """Return the port of the instance that the proxy serves, by its file and the flags; 0 for none."""
        text = read_text(self.spec["path"])
        flag = self.live_flag(text)
        if flag:
            return int(flag.rpartition("-")[2])
        # An older Handrail's file for nginx named the one that serves.
        named = {port for port in self.spec["ports"].values() if "server 127.0.0.1:%d;" % port in text}
        return named.pop() if len(named) == 1 else 0

    def live_flag(self, text):
        """Return the flag that is there of those which a file looks at, or ""; a split file says nothing of them."""
        looked_at = self.flags_in(text) or sorted(set(self.spec["flags"].values()))
        return next((flag for flag in looked_at if os.path.exists(flag)), "")

    def flags_in(self, text):
        """Return the paths of the flags that a file looks at, of whatever ports it was written for."""
        folder, _, start = next(iter(self.spec["flags"].values())).rpartition("-")[0].rpartition("/")
        ports = sorted(set(re.findall(r"%s-(\d+)\b" % re.escape(start), text)))
        return ["%s/%s-%s" % (folder, start, port) for port in ports]

    def serves(self, name):
        """Tell whether visitors meet an instance: its flag is there, and the proxy has loaded the file of today."""
        return os.path.exists(self.spec["flags"][name]) and self.has_loaded(*self.filled(self.spec["content"]))

    def standing(self):
        """Return what is served now, for `restore`."""
        text = read_text(self.spec["path"])
        return {"text": text, "flag": self.live_flag(text)}

    def restore(self, before):
        """Serve what was served before; of what has not changed since then nothing is touched."""
        text, flag = before["text"], before["flag"]
        if not text:
            return  # there was nothing
        if flag:
            self.raise_flag(flag, [flag, *self.flags_in(text)])
        # Before the proxy is asked: it splits the traffic by these flags whether it answers us or not.
        self.lower_shares()
        if read_text(self.spec["path"]) == text and not self.ask(text):
            return  # it does not run, and will start with this
        self.load_again(text)
        self.end_split()

    def load_again(self, text):
        """Have the proxy load a file that it has had before."""
        mark = re.search(r"\b[0-9a-f]{16}\b", text)
        self.load(text, mark.group() if mark else "")

    def ask(self, text=""):
        """Return what the proxy tells of the file that it has loaded; "" where it does not answer.

        ``text``: of the file that is expected.
        """
        import http.client

        asked = self.asked_for(text)
        host, _, port = asked["address"].partition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=5)
        try:
            connection.request("GET", asked["path"], headers={"Host": asked["host"], "Connection": "close"})
            return connection.getresponse().read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException):
            return ""
        finally:
            connection.close()

    def asked_for(self, text):
        """Return where the proxy is asked for a file: nginx at the site of that one, and not at today's."""
        site = re.search(r"^    listen (\d+);\n    server_name (\S+);$", text, re.MULTILINE)
        if not site:
            return self.spec["asked"]
        port, name = site.groups()
        return dict(self.spec["asked"], address="127.0.0.1:" + port, host="localhost" if name == "_" else name)

    def point(self, name):
        """Serve an instance. What was configured before comes back where the proxy does not take the new file."""
        self.raise_flag(self.spec["flags"][name], self.spec["flags"].values())
        self.configure(self.spec["content"])
        self.end_split()

    def split(self, live, goal, share):
        """Give ``share`` per cent of the traffic to the instance ``goal``, and the rest to ``live``."""
        canary, ports = self.spec["canary"], self.spec["ports"]
        self.open_log()
        if not canary["flag"]:
            weights = [(ports[live], 100 - share), (ports[goal], share)]
            # Without max_fails nginx would stop sending the canary its share: what it does is to be seen.
            lines = ["server 127.0.0.1:%d weight=%d max_fails=0;" % each for each in weights if each[1]]
            self.configure(canary["content"].replace("{servers}", "\n    ".join(lines)))
            return
        self.configure(self.spec["content"])
        if share:
            wanted = canary["flag"].format(share=share, port=ports[goal])
            self.raise_flag(wanted, self.share_flags())
        else:
            self.end_split()

    def share_flags(self):
        """Return the flags, of any deploy, that split the traffic."""
        folder, start = os.path.split(self.spec["canary"]["flag"].split("{")[0])
        # One that was being written when its agent died is none.
        return [flag for flag in entries(folder, start) if not flag.endswith(".handrail-new")]

    def end_split(self):
        """Let one instance serve everything again; what a split left behind goes."""
        canary = self.spec.get("canary")
        if not canary:
            return
        self.lower_shares()
        if os.path.exists(canary["log"]):
            for argv in canary["remove_log"]:
                run(argv, 20)

    def lower_shares(self):
        """Take away the flags that give a canary its share, where it is flags that do."""
        if (self.spec.get("canary") or {}).get("flag"):
            for flag in self.share_flags():
                self.delete_file(flag)

    def open_log(self):
        """Make the log in which requests are counted one that this user may read."""
        canary = self.spec["canary"]
        exists = os.path.exists(canary["log"])
        if exists and os.access(canary["log"], os.R_OK):
            return
        for argv in canary["open_log"] if exists else canary["make_log"]:
            code, lines = run(argv, 20)
            if code != 0:
                raise Refused(
                    "proxy",
                    "the log of the canary cannot be opened: `%s` %s" % (" ".join(argv), how_it_ended(code)),
                    command=" ".join(argv),
                    lines=lines[-5:],
                )

    def raise_flag(self, wanted, flags):
        """Move the one flag to its new name: one rename, so that there is always exactly one."""
        present = [flag for flag in sorted(set(flags)) if os.path.exists(flag)]
        if not present:
            self.write_file(wanted, "")
            return
        for flag in present:
            if flag == wanted:
                continue
            if self.spec["root"] and os.geteuid() != 0:
                argv = ["sudo", "-n", "mv", "-f", flag, wanted]
                code, lines = run(argv, 20)
                if code != 0:
                    raise Refused("proxy", "cannot move %s with sudo" % flag, command=" ".join(argv), lines=lines)
            else:
                os.replace(flag, wanted)

    def page(self):
        """Return the maintenance page that is served, "" for none."""
        return read_text(self.spec["page"])

    def looks_for_page(self, text):
        """Tell whether with this file the page is served as soon as it is there."""
        return os.path.basename(self.spec["page"]) in text

    def maintenance_since(self):
        """Return when the maintenance page came, in seconds of the epoch; None while the service is served."""
        try:
            return os.stat(self.spec["page"]).st_mtime
        except OSError:
            return None

    def show_page(self, text):
        """Serve a page instead of the service, from the next request on; with "" serve the service again."""
        path = self.spec["page"]
        if self.page() == text and (text or not os.path.exists(path)):
            return
        if text:
            self.write_file(path, text)
        else:
            self.delete_file(path)
        if self.page() != text:
            raise Refused("proxy", "%s does not hold what was written to it" % path)

    def configure(self, content):
        """Have the proxy load this file, tested before; where it already has, nothing is reloaded."""
        self.load(*self.filled(content))

    def filled(self, content):
        """Return a file with its mark in its place, and the mark."""
        import hashlib  # loads OpenSSL, which no start of the agent is to wait for

        mark = hashlib.sha256(content.encode()).hexdigest()[:16]
        return content.replace("{mark}", mark), mark

    def has_loaded(self, content, mark):
        return read_text(self.spec["path"]) == content and mark in self.ask(content)

    def load(self, content, mark):
        # Also where the file is the same: a reload may have been cut off.
        if self.has_loaded(content, mark):
            return
        before = read_text(self.spec["path"])
        self.write_file(self.spec["path"], content)
        for argv in self.spec["test"] + self.spec["reload"]:
            code, lines = run(argv, 60)
            if code != 0:
                self.take_back(before)
                raise Refused(
                    "proxy",
                    "the proxy refused the switch: `%s` %s" % (" ".join(argv), how_it_ended(code)),
                    command=" ".join(argv),
                    returncode=code,
                    lines=lines[-20:],
                )
        # nginx has only been told to: that it cannot listen there, or that another site answers, shows later.
        until = time.monotonic() + LOADED_WITHIN
        while mark not in self.ask(content):
            if time.monotonic() > until:
                self.take_back(before)
                raise Refused(
                    "proxy",
                    "the proxy was told to load %s, but http://%s does not answer with it; its log may say why"
                    % (self.spec["path"], self.asked_for(content)["address"]),
                )
            time.sleep(0.01)

    def take_back(self, before):
        """Leave no file that the proxy does not take: it would stop the next reload, also of the other sites."""
        if before:
            self.write_file(self.spec["path"], before)
            return
        # A host that an older Handrail prepared does not allow it.
        with contextlib.suppress(Refused):
            self.delete_file(self.spec["path"])

    def write_file(self, path, content):
        if self.spec["root"]:
            write_as_root(path, content, 0o644)
        else:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            write_atomic(path, content, 0o644)

    def delete_file(self, path):
        if self.spec["root"] and os.geteuid() != 0:
            argv = ["sudo", "-n", "rm", "-f", path]
            code, lines = run(argv, 20)
            if code != 0:
                raise Refused("proxy", "cannot delete %s with sudo" % path, command=" ".join(argv), lines=lines)
        else:
            remove_file(path)

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
        if self.spec["admin"] and not self.ask():
            return ["the proxy does not answer on its admin address %s" % self.spec["asked"]["address"]]
        return []
