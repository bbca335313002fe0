"""What could not be found out is asked on the terminal; ``--yes`` takes the guesses, and says which."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from handrail.errors import did_you_mean
from handrail.scaffold.detect.package import app_name
from handrail.scaffold.facts import Entry, Facts

if TYPE_CHECKING:
    from handrail.ui import Printer

_TARGET = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def ask_for_the_rest(facts: Facts, others: Sequence[Entry], printer: Printer, *, yes: bool) -> tuple[Facts, str, str]:
    """Return the facts with what was answered, the app's name, and the path of the health check.

    Args:
        others: further entry points that the application could have.
        yes: ask nothing.
    """
    app = app_name(facts.package.name)
    health = facts.web.health if facts.web else ""
    if yes:
        for guess in facts.guesses:
            printer.info(f"guessed  {guess.sentence}")
        return facts, app, health
    unsure = {guess.what for guess in facts.guesses}
    if "name" in unsure:
        app = app_name(printer.ask("What is the app called, on hosts and in units?", app))
    if facts.web is not None and facts.web.entry is not None:
        if "application" in unsure:
            facts = _ask_for_entry(facts, facts.web.entry, others, printer)
        if not health:
            answer = printer.ask(
                "Which path answers 200 when the app is well? (empty: none; the process is checked)", ""
            )
            health = f"/{answer.lstrip('/')}" if answer else ""
    return facts, app, health


def _ask_for_entry(facts: Facts, first: Entry, others: Sequence[Entry], printer: Printer) -> Facts:
    known = {entry.target: entry for entry in (first, *others)}
    printer.info(f"The application could be {', '.join(known)}.")
    answer = printer.ask("Which one is served? (module:attribute)", first.target)
    while answer not in known and not _TARGET.fullmatch(answer):
        printer.warn(f"{answer!r} is no module:attribute{did_you_mean(answer, known)}")
        answer = printer.ask("Which one is served? (module:attribute)", first.target)
    module, _, attribute = answer.partition(":")
    entry = known.get(answer) or Entry(module, attribute)
    assert facts.web is not None
    return replace(facts, web=replace(facts.web, entry=entry))
