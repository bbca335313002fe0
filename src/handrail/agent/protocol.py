"""What the client and the agent must agree on."""

# Noise from shell start-up files comes before this line; the client skips to it.
MARKER = "HANDRAIL-AGENT-1"
# It comes in its place from a host that does not know this version of the agent, and waits for its text.
WANTED = "HANDRAIL-WANTS-AGENT-1"
# Strategies that start the next release beside the one that serves.
SIDE_BY_SIDE = ("blue-green", "canary")
# Lines of a log that may be asked for. Ten times as many are looked through: a number of as many digits as the rules
# for sudo spell out.
MOST_LINES = 9_999
# Steps of a transaction from which a host has to return.
ACTIVE = ("lowering", "lowered", "activating", "activated", "switching", "switched")


def ping_interval(lease: float) -> float:
    """Return how often a client renews the leases of its hosts, in seconds: four times a lease, or oftener."""
    return min(5.0, max(0.25, lease / 4))
