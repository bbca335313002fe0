"""The scripts that a shell loads, and how one installs them."""

from __future__ import annotations

from importlib.resources import files
from typing import Literal

Shell = Literal["bash", "zsh", "fish"]

INSTALL = {
    "bash": "inv completion bash >> ~/.bashrc",
    "zsh": "inv completion zsh >> ~/.zshrc   (after the line with compinit)",
    "fish": "inv completion fish > ~/.config/fish/completions/inv.fish",
}
"""What makes it last: it needs no plugin and no root."""


def script(shell: Shell) -> str:
    """Return the text that ``shell`` loads."""
    return (files("handrail.completion") / f"inv.{shell}").read_text(encoding="utf-8")
