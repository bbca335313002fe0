"""Faults for real: what breaks deploys, injected into a fleet of container hosts, and what must hold afterwards.

`Scene` is a fleet with a small service on it; `catalogue` says which faults there are, `commands` what they strike;
`strike` injects one, waits until every host has decided, and names everything that is broken. The tests in tests/faults
and the campaign in scripts/bench use the same code.
"""

from __future__ import annotations

from handrail.testing.faults.catalogue import CATALOGUE, CUTS, Fault, cut_after
from handrail.testing.faults.commands import COMMANDS, DEPLOY, Command
from handrail.testing.faults.scene import Scene
from handrail.testing.faults.strike import Outcome, strike

__all__ = ["CATALOGUE", "COMMANDS", "CUTS", "DEPLOY", "Command", "Fault", "Outcome", "Scene", "cut_after", "strike"]
