"""The processes that may serve an app here: ``web``, and the slots of blue-green."""

import os

from handrail.agent.files import read_json
from handrail.agent.protocol import SIDE_BY_SIDE
from handrail.agent.proxy import Proxy
from handrail.agent.service import Service


def with_files(spec, texts):
    """Return a service's description in which the files that ``texts`` knows, by path, have those texts."""
    if not spec or not texts:
        return spec

    def changed(one):
        return dict(one, files=[dict(item, content=texts.get(item["path"], item["content"])) for item in one["files"]])

    found = changed(spec)
    if spec.get("slots"):
        found["slots"] = {name: changed(slot) for name, slot in spec["slots"].items()}
    return found


def files_of(*specs):
    """Return the texts of services' files by path, those of their slots too."""
    every = [one for spec in specs if spec for one in (spec, *(spec.get("slots") or {}).values())]
    return {item["path"]: item["content"] for one in every for item in one["files"]}


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
            if spec.get("strategy") in SIDE_BY_SIDE or os.path.isdir(app.path("slots")):
                self.specs.update(spec.get("slots") or {})

    def service(self, name):
        """Return an instance, which is asked for its health where the release in it was told to answer."""
        spec = self.specs.get(name) or {}
        return Service(self.app, spec and dict(spec, **self.told(name).get(name, {})))

    def told(self, name):
        """Return what was remembered (`activating.told_by`) when the release in an instance was deployed."""
        release = self.release(name)
        return (read_json(self.app.release(release, ".handrail", "told.json")) if release else None) or {}

    def proxy_for(self, name):
        """Return the proxy with the file for an instance: where its port has changed since, the file of its time."""
        then = self.told(name).get("proxy")
        return Proxy(then) if then and then["ports"][name] != self.proxy.spec["ports"][name] else self.proxy

    def release(self, name):
        """Return the release that an instance is linked to."""
        return self.app.current_release() if name == "web" else self.app.slot_release(name)

    def live(self):
        """Return the name of the instance that serves: by the proxy's word, else by what runs; "" for none."""
        if len(self.specs) < 2:
            return "web" if self.specs and self.app.current_release() else ""
        port = self.proxy.live_port() if self.proxy else 0
        current = self.app.current_release()
        # What is held in a slot serves nobody.
        linked = {name: self.service(name) for name in self.specs if current and self.release(name) == current}
        for name, service in sorted(linked.items(), key=lambda item: item[1].spec["port"] != port):
            if service.pid():
                return name
        return next((name for name in linked if name != "web"), "web") if current else ""

    def goal(self, live):
        """Return the instance that the next release starts in."""
        if self.spec.get("strategy") not in SIDE_BY_SIDE:
            return "web"
        taken = self.service(live).spec["port"] if live else 0
        return next(name for name in ("blue", "green") if name != live and self.specs[name]["port"] != taken)

    def others(self, name):
        """Return the instances beside ``name`` that run, or would with the next start of the host."""
        return [
            other
            for other in self.specs
            if other != name and (self.service(other).is_installed() or self.service(other).pid())
        ]
