"""The request that puts a page in front of the service, or takes it away."""

from handrail.agent.files import read_text
from handrail.agent.instances import Instances
from handrail.agent.locking import must_hold_lock
from handrail.agent.proxy import Proxy
from handrail.agent.refusal import Refused


def maintenance(agent, request, _payload):
    """Serve ``page`` instead of the service, the service for "". Returns the page that was served before.

    Without ``page`` nothing is changed, and what stands in the way is refused.
    """
    instances = Instances(agent.app, request["service"])
    proxy, live = instances.proxy, instances.live()
    before, page = proxy.page(), request.get("page")
    if page is None:
        if not agent.app.current_release():
            raise Refused("proxy", "nothing is deployed here yet")
        for problem in proxy.problems():
            raise Refused("proxy", problem)
        return {"before": before}
    must_hold_lock(agent)
    if page and not before:
        have_page_looked_for(instances, live)
    proxy.show_page(page)
    if bool(page) != bool(before):
        agent.app.note("maintenance", "on" if page else "off", request["by"])
    return {"before": before}


def have_page_looked_for(instances, live):
    """Have the proxy look for the page at the site that visitors know: what is declared since comes with a deploy."""
    proxy, then = instances.proxy, instances.told(live).get("proxy") or {}
    text = read_text(proxy.spec["path"])
    if proxy.looks_for_page(text):
        proxy.load_again(text)
        return
    # An older Handrail wrote it, or it was taken away.
    deployed = Proxy(then) if then.get("page") == proxy.spec["page"] else instances.proxy_for(live)
    deployed.point(live)
