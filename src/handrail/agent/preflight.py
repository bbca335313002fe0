"""Every reason why a deploy would fail here, found before anything is changed."""

from handrail.agent.commands import how_it_ended, run
from handrail.agent.instances import Instances
from handrail.agent.machine import disk, find_pythons, is_writable, user_name
from handrail.agent.processes import command_line, listeners
from handrail.agent.refusal import Refused
from handrail.agent.service import Service
from handrail.agent.workers import installed_workers


def preflight(agent, request, _payload):
    """Return the reasons why a deploy would fail here, as a list of sentences; changes nothing.

    ``page`` in the answer: whether visitors get the maintenance page.
    """
    problems = []
    app = agent.app
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
            problems.extend(port_problems(agent, service))
    problems.extend(ending_problems(app, (request.get("service") or {}).get("processes") or {}))
    return {"problems": problems, "page": bool(instances.proxy and instances.proxy.maintenance_since())}


def ending_problems(app, declared):
    """Return a sentence where this user may not end a background process that is no longer wanted here."""
    for name, spec in sorted(installed_workers(app).items()):
        if declared.get(name, {"here": False}).get("here", True):
            continue
        for argv in spec["retire"]:
            # sudo only says whether it would.
            if argv[:2] == ["sudo", "-n"] and run(["sudo", "-n", "-l", *argv[2:]], 20)[0] != 0:
                may_not = "%s is to end, and this user may not run `%s` here" % (name, " ".join(argv))
                return [may_not + ": inv host.setup allows it"]
    return []


def port_problems(agent, service):
    port = service.spec["port"]
    owners = listeners(port)
    if owners is None:
        try:
            import socket

            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return []
        # Somebody listens, but whose process it is cannot be seen: believe a running service of ours.
        try:
            return [] if service.pid() else ["port %d is in use by a process of another user" % port]
        except Refused as error:
            return [str(error)]
    for owner in owners:
        if not service.running_release(owner):
            command = command_line(owner)[:80]
            return ["port %d is in use by pid %d (%s)" % (port, owner, command or "unknown")]
    return []
