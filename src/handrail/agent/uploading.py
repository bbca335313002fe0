"""Requests that open the transaction and receive what this host lacks."""

import json
import re
import time
import zlib

from handrail.agent import compiled
from handrail.agent.files import read_json
from handrail.agent.holding import end_held
from handrail.agent.locking import must_hold_lock
from handrail.agent.receiving import Receiver
from handrail.agent.refusal import Refused
from handrail.agent.transaction import Transaction, add_times, public_state

# Of an aborted transaction.
RECORDED = ("release", "from", "kind", "who", "commit", "bundle", "deploy", "migrated", "schema", "irreversible")


def begin(agent, request, _payload):
    """Open the transaction; what an earlier one left is recorded as aborted and swept, unless it is resumed."""
    must_hold_lock(agent)
    compiled.keep()
    transaction = Transaction(agent.app)
    left = transaction.state()
    state = request["state"]
    if left and left["deploy"] == state["deploy"]:
        # Resumed. After a return the release is still whole: its way goes on from "prepared".
        if left["step"] == "returned":
            transaction.forget("decision", "lease", "reason")
            step = "migrated" if left.get("migrate_ran") else "prepared"
            # Which background processes run now, its own activation finds out.
            left = transaction.update(step=step, outcome=None, workers=None)
        return {"state": public_state(left), "swept": []}
    if left and left["step"] != "returned":
        end_held(agent.app, left)
        record_aborted(agent, left)
    if state.get("kind") == "rollback":
        manifest = read_json(agent.app.release(state["release"], ".handrail", "manifest.json")) or {}
        state.update(commit=manifest.get("commit", ""), version=manifest.get("version", ""))
        state["bundle"] = manifest.get("digest", "")
    state["from"] = agent.app.current_release() or None
    state["step"] = "begun"
    transaction.begin(state)
    swept, stay = agent.app.sweep(state["release"] if state.get("kind") == "rollback" else "")
    removed, more = agent.app.prune(request["keep"], state["release"])
    # To look through the manifests of all releases takes a while.
    freed = agent.app.collect_garbage(request.get("digests", [])) if removed or swept else 0
    return {"state": public_state(state), "swept": swept, "pruned": removed, "freed": freed, "left": stay + more}


def record_aborted(agent, state, result="aborted", reason="", times=None):
    entry = {key: state.get(key) for key in RECORDED}
    entry.update(result=result, reason=reason, step=state["step"], started=state.get("since"), finished=time.time())
    entry["to"] = state.get("from")
    add_times(entry, times)
    agent.app.record(entry)


def offer(agent, _request, payload):
    """Take the manifest; say which of its objects are not here, as indices into its unique digests."""
    agent.manifest = json.loads(zlib.decompress(payload))
    missing, seen = [], set()
    index, is_digest = 0, re.compile(r"^[0-9a-f]{64}$").match
    for member in agent.manifest["members"]:
        if member["kind"] == "link" or member["sha256"] in seen:
            continue
        if not is_digest(member["sha256"]):
            raise Refused("bad-request", "the manifest holds a malformed digest")
        seen.add(member["sha256"])
        if not agent.app.has_object(member["sha256"], member["size"]):
            missing.append(index)
        index += 1
    return {"missing": missing}


def put(agent, request, _payload):
    """Receive objects as one stream, compressed or not; each counts only once its digest is right."""
    must_hold_lock(agent)
    receiver = Receiver(agent.app, request["objects"])
    unpack = zlib.decompressobj() if request["compressed"] else None
    while True:
        frame, payload = agent.next_request()
        if frame is None:
            raise Refused("cut", "the upload was cut")
        if frame["op"] == "end":
            if unpack:
                receiver.feed(unpack.flush())
            break
        receiver.feed(unpack.decompress(payload) if unpack else payload)
    if receiver.wanted is not None:
        raise Refused("cut", "the upload ended before its last object")
    return {"stored": receiver.stored, "received": agent.received}
