"""The canary: a part of the traffic for the new release, and what the proxy's log says of it and of the rest.

Reading begins where the log ended when the traffic was split, which the journal remembers, so that a client that had to
connect again goes on counting from there. A rotation is followed: the old file is read to its end first.
"""

import json
import math
import os

from handrail.agent.instances import Instances
from handrail.agent.locking import must_hold_lock
from handrail.agent.refusal import Refused
from handrail.agent.transaction import Transaction

# Request times are counted in steps of 5 %, so that counts of many hosts can be added: step n is 1.05 ** n ms.
STEP = math.log(1.05)
CHUNK = 1 << 22


def split(agent, request, _payload):
    """Give the verified instance its share of this host's traffic, in per cent, and begin to count anew."""
    must_hold_lock(agent)
    transaction = Transaction(agent.app)
    state = transaction.state()
    instances = Instances(agent.app, state.get("service"))
    with transaction.acting():
        if transaction.decision():
            raise Refused("returned", "this host has already decided to %s" % transaction.decision())
        transaction.update(step="switching")
        instances.proxy.split(state["live"], state["goal"], request["share"])
        facts = os.stat(instances.proxy.spec["canary"]["log"])
        transaction.update(counted_from=[facts.st_ino, facts.st_size])
    if agent.counting is not None:
        agent.counting.stream.close()
        agent.counting = None
    return {}


def measure(agent, _request, _payload):
    """Return what the canary and the rest answered since the traffic was split; the canary must be alive.

    Returns:
        {"canary", "rest"}, each {"requests", "errors", "times": {step: requests}}; see `STEP`.
    """
    transaction = Transaction(agent.app)
    state = transaction.state()
    if transaction.decision():
        raise Refused("returned", "this host has already decided to %s" % transaction.decision())
    instances = Instances(agent.app, state.get("service"))
    service = instances.service(state["goal"])
    if agent.counting is None:
        agent.counting = Counting(instances.proxy.spec, *state["counted_from"])
    counts = agent.counting.read()
    report = service.look(state["release"])
    if not report["ok"]:
        raise Refused("unhealthy", "as canary: %s" % report["why"], lines=service.logs(20))
    rest = Count()
    for port, count in counts.items():
        if port != service.spec["port"]:
            rest.add(count)
    return {"canary": counts.get(service.spec["port"], Count()).facts(), "rest": rest.facts()}


class Count:
    """Requests of one instance."""

    def __init__(self):
        self.requests = self.errors = 0
        self.times = {}

    def see(self, status, seconds):
        step = math.floor(math.log(max(seconds, 0.0001) * 1000) / STEP)
        self.requests += 1
        self.errors += status >= 500
        self.times[step] = self.times.get(step, 0) + 1

    def add(self, other):
        self.requests += other.requests
        self.errors += other.errors
        for step, number in other.times.items():
            self.times[step] = self.times.get(step, 0) + number

    def facts(self):
        return {"requests": self.requests, "errors": self.errors, "times": self.times}


class Counting:
    """Reads a growing log from a place on.

    Args:
        inode, offset: where counting begins; from the start, where the file is another one by now.
    """

    def __init__(self, spec, inode, offset):
        self.path = spec["canary"]["log"]
        self.parse = parse_caddy if spec["kind"] == "caddy" else parse_nginx
        self.stream = open(self.path, "rb")
        if os.fstat(self.stream.fileno()).st_ino == inode:
            self.stream.seek(offset)
        self.left = b""
        self.counts = {}

    def read(self):
        """Count what was written since the last time; return {port: Count}."""
        self.read_to_end()
        try:
            replaced = os.stat(self.path).st_ino != os.fstat(self.stream.fileno()).st_ino
        except OSError:
            replaced = False
        if replaced:
            self.read_to_end()
            self.stream.close()
            self.stream, self.left = open(self.path, "rb"), b""
            self.read_to_end()
        return self.counts

    def read_to_end(self):
        while True:
            data = self.stream.read(CHUNK)
            if not data:
                return
            lines = (self.left + data).split(b"\n")
            self.left = lines.pop()
            for line in lines:
                for port, status, seconds in self.parse(line.decode("utf-8", "replace")):
                    self.counts.setdefault(port, Count()).see(status, seconds)


def parse_caddy(line):
    """Yield (port, status, seconds) of the instance that a line of Caddy's access log names."""
    try:
        entry = json.loads(line)
        yield int(entry["resp_headers"]["X-Handrail-Instance"][0]), int(entry["status"]), float(entry["duration"])
    except (ValueError, KeyError, TypeError, IndexError):
        return


def parse_nginx(line):
    """Yield (port, status, seconds) for each instance that nginx asked: "addresses|their statuses|status|seconds".

    Where one did not answer and nginx asked the other, the first one's failure counts as its own.
    """
    try:
        addresses, statuses, status, seconds = line.split("|")
        own_statuses = statuses.split(", ")
        for number, address in enumerate(addresses.split(", ")):
            own = own_statuses[number]
            yield int(address.rpartition(":")[2]), int(own if own.isdigit() else status), float(seconds)
    except (ValueError, IndexError):
        return
