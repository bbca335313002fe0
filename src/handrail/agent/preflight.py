"""Every reason why a deploy would fail here, found before anything is changed."""

from handrail.agent.commands import how_it_ended, run
from handrail.agent.instances import Instances
from handrail.agent.machine import disk, find_pythons, is_writable, user_name
from handrail.agent.processes import command_line, listeners
from handrail.agent.refusal import Refused
from handrail.agent.service import Service


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
    return {"problems": problems, "page": bool(instances.proxy and instances.proxy.maintenance_since())}


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
