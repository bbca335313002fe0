"""Which release a run is about: a new number, the unfinished one of a resumed deploy, or what a rollback goes to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from handrail.deploy.behind import standing
from handrail.deploy.release import release_id, release_number
from handrail.errors import PreflightError, did_you_mean

if TYPE_CHECKING:
    from handrail.build.bundle import Bundle
    from handrail.deploy.running import Run


def rollback_goal(facts: Mapping[str, Mapping[str, Any]], to: str) -> str:
    """Choose the release that a rollback goes to: good on all hosts, by the hosts' history.

    Without ``to`` it follows the chain of what served before what, so that a second rollback goes one further
    back and never forward to a release that was rolled back from. It starts at what the fleet serves: a host that
    is behind, or missed the last rollback, comes along.
    """
    goods: list[set[str]] = [set(fact["good"]) for fact in facts.values()]
    everywhere = set.intersection(*goods) if goods else set()
    currents = {fact["current"] for fact in facts.values()}
    if to:
        matches = [release for release in everywhere if release == to or release.split("-")[0] == to]
        if not matches:
            known = ", ".join(sorted(everywhere, key=release_number)) or "none"
            near = did_you_mean(to, everywhere)
            raise PreflightError(
                f"release {to!r} is not good on all hosts{near if 'mean' in near else f'; those that are: {known}'}",
                next_step="inv releases shows what was deployed and what is kept",
            )
        if currents == {matches[0]}:
            raise PreflightError(f"release {matches[0]} is the one that is running")
        return matches[0]
    came_from: dict[str, str] = {}
    for fact in facts.values():
        for entry in fact["history"]:
            if entry.get("result") == "good" and entry.get("kind") == "deploy" and entry.get("from"):
                # A host that had missed some came from further back than the others, or from what they had left.
                origins = [came_from.get(entry["release"], ""), entry["from"]]
                earlier = [name for name in origins if release_number(name) < release_number(entry["release"])]
                came_from[entry["release"]] = max(earlier, key=release_number, default="")
    release = standing(facts, facts).release or max(currents, key=release_number, default="")
    seen = {release}
    while release := came_from.get(release, ""):
        if release in seen:
            break
        seen.add(release)
        if release in everywhere:
            return release
    raise PreflightError(
        "there is no earlier release that was good on all hosts",
        next_step="inv releases shows what there is; --to ID names one",
    )


def resume_line(env: str, left: Mapping[str, Any]) -> str:
    """Return the command that goes on with what a dead client left on a host, as it was begun."""
    words = "--catch-up" if left.get("catch_up") else "--resume --hold" if left.get("hold") else "--resume"
    return f"inv deploy --env {env} {words}"


def choose_release(run: Run, bundle: Bundle) -> None:
    """Give the run its release: the one of the unfinished deploy with ``--resume``, else a new one.

    Raises:
        PreflightError: what is unfinished cannot be resumed, or not like this.
    """
    if run.job.resume:
        left = [f["transaction"] for f in run.facts.values() if f.get("transaction")]
        names = {(t["deploy"], t["release"], t["bundle"]) for t in left}
        if len(names) != 1:
            raise PreflightError(
                "there is no unfinished deploy to resume" if not names else "the hosts hold different deploys",
                next_step=f"start a new one: inv deploy --env {run.job.target.environment}",
            )
        if any(t["step"] == "held" for t in left):
            raise PreflightError(
                f"release {left[0]['release']} is held, and complete: there is nothing to resume",
                next_step=f"inv promote --env {run.job.target.environment} sends it the traffic",
            )
        if any(t.get("catch_up") for t in left):
            raise PreflightError(
                f"what is unfinished is a catch-up with {left[0]['release']}, which begins anew and goes on by itself",
                next_step=f"inv deploy --env {run.job.target.environment} --catch-up",
            )
        was_to_hold = any(t.get("hold") for t in left)
        if was_to_hold != run.job.hold:
            # Whether the traffic moves was decided when it was begun: a forgotten word must not decide otherwise.
            raise PreflightError(
                f"the unfinished deploy {left[0]['release']} was begun {'with' if was_to_hold else 'without'} --hold",
                next_step=f"{resume_line(run.job.target.environment, left[0])}; "
                f"to end it: inv deploy --env {run.job.target.environment} --abort",
            )
        run.deploy, run.release, digest = names.pop()
        if digest != bundle.digest:
            raise PreflightError(
                f"the unfinished deploy {run.release} was of bundle {digest[:12]}, this one is {bundle.digest[:12]}",
                next_step=f"check out what was deployed, or: inv deploy --env {run.job.target.environment} --abort",
            )
        return
    number = 1 + max(fact["number"] for fact in run.facts.values())
    run.release = release_id(number, bundle)
