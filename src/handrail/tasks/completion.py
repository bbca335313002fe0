"""``inv tasks`` and ``inv completion``: what there is to type, for programs and for the shell."""

from __future__ import annotations

import sys
from typing import Literal

from handrail.tasks.base import TaskContext, start_folder, task


@task(group="setup", example="inv tasks --json", help={"json": "print one JSON document"})
def tasks(c: TaskContext, json: bool = False) -> None:
    """Show every task with an example; --json: with all options."""
    from handrail.completion.cache import write_cache
    from handrail.tasks.describe import catalogue
    from handrail.tasks.program import running_collection

    document = catalogue(running_collection())
    write_cache(start_folder(c.invoke).resolve(), document["tasks"])
    c.printer.result(document)
    rows = [[entry["name"], entry["help"], entry["example"]] for entry in document["tasks"]]
    c.printer.table("", ["task", "what it does", "example"], rows)


@task(
    group="setup",
    example="inv completion bash >> ~/.bashrc",
    positional=("shell",),
    help={"shell": "the shell that the script is for"},
)
def completion(c: TaskContext, shell: Literal["bash", "zsh", "fish"]) -> None:
    """Print the script that lets your shell complete tasks."""
    from handrail.completion.cache import write_cache
    from handrail.completion.scripts import INSTALL, script
    from handrail.tasks.describe import catalogue
    from handrail.tasks.program import running_collection
    from handrail.ui.streams import show

    write_cache(start_folder(c.invoke).resolve(), catalogue(running_collection())["tasks"])
    show(script(shell))
    if sys.stdout.isatty():
        c.printer.warn(f"this is a script for {shell}; to install it: {INSTALL[shell]}")
