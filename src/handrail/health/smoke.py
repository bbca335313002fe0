"""Smoke checks: declared HTTP requests to a running environment, from where the task runs.

Every check is made, in the order of declaration, whatever the ones before it said. A redirect is an answer
like any other: a check that expects 301 declares it. The answer is read as a stream against one deadline,
because httpx's own timeouts begin anew with each packet and a slow drip would never end.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from handrail.config.target import parse_address
from handrail.errors import ConfigError

if TYPE_CHECKING:
    import httpx

    from handrail.config.schema import Project, Smoke

_LONGEST_BODY = 8 * 1024 * 1024  # bytes that a body expression is tried on
_LOOPBACK = ("localhost", "127.", "::1", "[::1]")


@dataclass(frozen=True)
class SmokeResult:
    """How one check went; it passed when there are no problems."""

    path: str
    url: str
    status: int  # 0: no answer
    seconds: float
    problems: list[str] = field(default_factory=list)

    @property
    def is_ok(self) -> bool:
        return not self.problems

    def line(self) -> str:
        """Return the check's one line."""
        answer = str(self.status) if self.status else "no answer"
        head = f"{'ok  ' if self.is_ok else 'FAIL'}  {self.path}  {answer}  {self.seconds:.3f} s"
        return head if self.is_ok else f"{head}  {'; '.join(self.problems)}"

    def document(self) -> dict[str, Any]:
        """Return the check as JSON-able data."""
        return {
            "path": self.path,
            "url": self.url,
            "ok": self.is_ok,
            "status": self.status,
            "seconds": round(self.seconds, 4),
            "problems": self.problems,
        }


def declared_checks(project: Project) -> list[Smoke]:
    """Return the project's smoke checks; without any, one on the service's health path.

    Raises:
        ConfigError: there is neither.
    """
    from handrail.config.schema import Smoke

    service = project.service
    if project.smoke:
        return project.smoke
    if service and service.health:
        return [Smoke(path=service.health, status=service.health_status)]
    raise ConfigError(
        "there is nothing to check: no [[tool.handrail.smoke]] and no health path are declared",
        next_step='add to pyproject.toml: [[tool.handrail.smoke]] with path = "/"',
    )


def base_url(url: str, hosts: Sequence[str], port: int) -> tuple[str, str]:
    """Return the address that checks go to, and a remark for the user or ``""``.

    Args:
        url: the environment's declared address; empty: the service's port on the first host.
        hosts: ``[user@]host[:port]``, IPv6 addresses in brackets.

    Raises:
        ConfigError: neither an address nor a host is known, or the address is none.
    """
    if url:
        if not re.match(r"https?://[^/\s]+", url):
            raise ConfigError(f"url {url!r}: expected an address such as https://shop.example.com")
        return url.rstrip("/"), ""
    if not hosts or not port:
        raise ConfigError(
            "there is no address to check: the environment has no url, and no host with a service port",
            next_step='set url = "https://…" in [tool.handrail.environments.<name>]',
        )
    host = parse_address(hosts[0]).host
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    if host.startswith(_LOOPBACK):
        return address, ""
    return address, (
        f"the environment declares no url: asking {address}, which works only if the service listens on more "
        "than the host's own loopback"
    )


def run_smoke(checks: Sequence[Smoke], base: str, *, transport: httpx.BaseTransport | None = None) -> list[SmokeResult]:
    """Make all checks against ``base`` and return their results in order.

    Raises:
        ConfigError: a path or a regular expression cannot be meant; nothing was asked.
    """
    import httpx

    for number, check in enumerate(checks, start=1):
        _refuse_nonsense(check, f"tool.handrail.smoke[{number}]")
    # A proxy from the environment must not be asked for this machine's own loopback.
    is_loopback = base.split("://", 1)[-1].startswith(_LOOPBACK)
    with httpx.Client(transport=transport, trust_env=not is_loopback, follow_redirects=False) as client:
        return [_run_check(client, check, base) for check in checks]


def _run_check(client: httpx.Client, check: Smoke, base: str) -> SmokeResult:
    import httpx

    url = base + check.path
    status, problems = 0, []
    started = time.monotonic()
    try:
        with client.stream("GET", url, timeout=check.max_seconds) as response:
            status = response.status_code
            body = _read(response, started + check.max_seconds)
            seconds = time.monotonic() - started
            problems += _problems(check, response, body)
    except (httpx.TimeoutException, TimeoutError):
        seconds = time.monotonic() - started
        problems.append(f"took longer than {check.max_seconds:g} s")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        seconds = time.monotonic() - started
        problems.append(" ".join(str(error).split()) or type(error).__name__)
    else:
        if seconds > check.max_seconds:
            problems.append(f"took longer than {check.max_seconds:g} s")
    return SmokeResult(check.path, url, status, seconds, problems)


def _read(response: httpx.Response, deadline: float) -> str:
    """Read up to `_LONGEST_BODY` bytes; TimeoutError when the deadline passes on the way."""
    content = bytearray()
    for chunk in response.iter_bytes():
        content += chunk
        if len(content) >= _LONGEST_BODY:
            break
        if time.monotonic() > deadline:
            raise TimeoutError
    try:
        return content.decode(response.encoding or "utf-8", "replace")
    except LookupError:  # a charset that Python does not know
        return content.decode("utf-8", "replace")


def _problems(check: Smoke, response: httpx.Response, body: str) -> list[str]:
    problems = []
    if response.status_code != check.status:
        problems.append(f"expected status {check.status}, got {response.status_code}")
    if check.body and not re.search(check.body, body):
        problems.append(f"the body does not match {check.body!r}")
    for name, expression in check.headers.items():
        value = response.headers.get(name)
        if value is None:
            problems.append(f"header {name} is missing")
        elif not re.search(expression, value):
            problems.append(f"header {name} is {value!r}, which does not match {expression!r}")
    return problems


def _refuse_nonsense(check: Smoke, where: str) -> None:
    if not check.path.startswith("/"):
        raise ConfigError(f"{where}.path: expected a path that starts with '/', found {check.path!r}")
    if not check.max_seconds > 0:
        raise ConfigError(f"{where}.max_seconds: expected more than 0, found {check.max_seconds}")
    expressions = {"body": check.body, **{f"headers.{name}": text for name, text in check.headers.items()}}
    for name, expression in expressions.items():
        try:
            re.compile(expression)
        except re.error as error:
            problem = f"{error} in {expression!r}"
            raise ConfigError(f"{where}.{name}: expected a regular expression: {problem}") from None
