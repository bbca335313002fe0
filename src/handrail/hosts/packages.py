"""What apt installs: Python, the proxy, the process manager; and Python by uv where Debian has no package of it."""

from __future__ import annotations

from handrail.hosts.steps import Action, Facts, Step, run
from handrail.hosts.want import Want

APT = [
    "apt-get", "--yes", "-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20",
    "-o", "Acquire::https::Timeout=20",
]  # fmt: skip
QUIET = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1"}
NO_SOURCES = "give the host a way to its package sources (a mirror or a proxy in /etc/apt), then run this again"
MINUTES = 60.0
# Package lists that are older are fetched again: a mirror forgets the versions that they name.
LISTS_AGE = 24 * 60 * MINUTES


def apt(*words: str, may_fail: bool = False) -> Action:
    """Return the action of one apt-get command."""
    return run(*APT, *words, timeout=20 * MINUTES, may_fail=may_fail, env=QUIET)


def packages_steps(want: Want, facts: Facts, lists_failed: list[str] | None = None) -> list[Step]:
    """Return the steps for what is missing: fresh package lists where needed, then the packages, then uv's Python.

    Args:
        lists_failed: None before the lists were fetched; then what apt said where they could not be, and ``[]`` where
            they could.
    """
    found = facts["apt"]
    names = [name for name in want.packages if name not in found["installed"] and not facts["programs"].get(name)]
    python, python_step = _python(want, facts, lists_failed)
    names += python
    fetched = lists_failed is not None
    unknown = [name for name in names if not found["candidates"].get(name)]
    steps = []
    if found["interrupted"]:
        repair = run("dpkg", "--force-confold", "--configure", "-a", timeout=20 * MINUTES, env=QUIET)
        steps.append(Step("repair", todo="finish an installation that was interrupted", actions=[repair]))
    stale = found["age"] is None or found["age"] > LISTS_AGE
    if names and not fetched and (unknown or stale):
        steps.append(
            Step("lists", todo="fetch apt's package lists", actions=[apt("update", may_fail=True)], looks_again=True)
        )
    if unknown and fetched:
        why = f"apt's package lists could not be fetched ({_complaint(lists_failed)})" if lists_failed else ""
        steps.append(
            Step(
                "packages",
                problem=f"{facts['os']['pretty_name'] or 'this host'} knows no package {', '.join(unknown)}"
                + (f": {why}" if why else ""),
                next_step=NO_SOURCES
                if why
                else f"install {', '.join(unknown)} there from another source, then run this again",
            )
        )
    elif names:
        install = apt("install", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confold", *names)
        steps.append(Step("packages", todo=f"install {', '.join(names)}", actions=[install], looks_again=True))
    else:
        steps.append(Step("packages", there=", ".join(want.packages) or "none needed"))
    return [*steps, python_step]


def _python(want: Want, facts: Facts, lists_failed: list[str] | None) -> tuple[list[str], Step]:
    """Return the packages that bring Python, and the step for what they do not bring."""
    version, path = want.python, facts["pythons"].get(want.python)
    candidates, names = facts["apt"]["candidates"], [f"python{version}", f"python{version}-venv"]
    if path and facts["has_venv"]:
        return [], Step("python", there=f"{version}, {path}")
    if path and not path.startswith("/usr/bin/"):
        return [], Step(
            "python",
            problem=f"{path} is no whole Python: it cannot import ensurepip, ssl, venv and zlib",
            next_step="install it again there, with these modules",
        )
    missing = names[1:] if path else names
    might_come = facts["apt"]["age"] is None and lists_failed is None
    if candidates.get(missing[0]) or might_come or path:
        return missing, Step("python", there=f"{version} comes with the packages")
    if facts["uv"]:
        get = run(facts["uv"], "python", "install", version, user=want.user, timeout=20 * MINUTES)
        todo = f"have uv install Python {version} for {want.user}"
        return [], Step("python", todo=todo, actions=[get], looks_again=True)
    there = ", ".join(f"{name} ({place})" for name, place in sorted(facts["pythons"].items())) or "none"
    problem = f"Python {version} is not there, and {facts['os']['pretty_name']} has no package of it; there is: {there}"
    nearest = max(facts["pythons"], key=lambda text: int(text.partition(".")[2]), default="")
    choose = f'declare python = "{nearest}" in [tool.handrail.build], or ' if nearest else ""
    return [], Step(
        "python", problem=problem, next_step=f"{choose}install uv for {want.user}: it brings Python {version}"
    )


def explain_apt(lines: list[str]) -> str:
    """Return the line of apt's output that says why it failed."""
    return _complaint(lines)


def _complaint(lines: list[str]) -> str:
    for mark in ("E: ", "W: ", "Err:"):
        found = [line for line in lines if line.startswith(mark)]
        if found:
            return found[0].removeprefix(mark).strip()
    return lines[-1].strip() if lines else "apt said nothing"
