"""The request that takes a host out of service: what this app runs here ends, for good."""

from handrail.agent.instances import Instances
from handrail.agent.locking import must_hold_lock
from handrail.agent.refusal import Refused
from handrail.agent.transaction import Transaction
from handrail.agent.workers import bring, installed_workers


def leave(agent, request, _payload):
    """End the service, the background processes and the periodic jobs; return their names.

    Nothing of it starts again, also not with the host. Releases and data stay.
    """
    must_hold_lock(agent)
    app = agent.app
    state = Transaction(app).state()
    if state and state["step"] != "returned":
        raise Refused("bad-request", "%s is not decided yet" % state["release"])
    ended = sorted(installed_workers(app))
    bring(app, {}, app.current_release())
    instances = Instances(app, request["service"])
    for name in instances.specs:
        service = instances.service(name)
        if service.is_installed() or service.pid():
            service.end()
            ended.append(service.spec["name"])
    if ended:
        app.note("retire", ", ".join(ended), request["by"])
    return {"ended": ended, "serves": app.current_release()}
