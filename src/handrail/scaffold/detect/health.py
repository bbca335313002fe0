"""A path of the application that looks like a health check."""

from __future__ import annotations

import ast
import re

from handrail.scaffold.detect.sources import Sources, dotted

_HEALTH = re.compile(
    r"\^?/?(?:_?healthz?|health[-_]?check|livez|readyz|ping|heartbeat|__heartbeat__|(?:api|-)/healthz?)/?\$?"
)
_ROUTES = {"route", "get", "path", "re_path", "url", "Route", "add_url_rule", "add_route", "add_api_route"}


def find_health(sources: Sources) -> str:
    """Return the first such path of a route; empty where there is none."""
    for file in sources.program:
        tree = sources.tree(file)
        for node in ast.walk(tree) if tree else ():
            if not isinstance(node, ast.Call) or dotted(node.func).split(".")[-1] not in _ROUTES or not node.args:
                continue
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str) and _HEALTH.fullmatch(first.value):
                return "/" + first.value.strip("^$").lstrip("/")
    return ""
