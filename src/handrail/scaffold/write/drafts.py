"""What a writer says: the text that a file should have, and who owns it from then on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Owner = Literal["managed", "block", "seeded", "yours"]
"""``managed``: the whole file is Handrail's, ``--update`` writes it again. ``block``: what stands between two marks is.
``seeded``: written once, the project's own from then on. ``yours``: was there before, or is so by choice."""


@dataclass(frozen=True)
class Draft:
    """One file.

    Attributes:
        path: relative to the project.
        owner: whose it is once it has been written.
        text: the whole text; for a ``block`` the block alone.
        executable: it is to be run.
        note: what to add by hand, where a file of the project's own stays as it is.
    """

    path: str
    owner: Owner
    text: str
    executable: bool = False
    note: str = ""
