"""What the client and the agent must agree on."""

# Noise from shell start-up files comes before this line; the client skips to it.
MARKER = "HANDRAIL-AGENT-1"
# Steps of a transaction from which a host has to return.
ACTIVE = ("activating", "activated", "switching", "switched")
