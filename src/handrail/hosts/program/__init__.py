"""What looks at a host and sets it up: it runs there as root, one process for all of a set-up.

It travels like the agent, beside the agent's modules (`handrail.agent.program`), and speaks the same protocol; it too
uses the standard library only and runs on Python 3.8 and newer. It knows nothing of what a host should be: ``look``
returns facts, ``do`` carries out steps that came as data.

Where it touches what belongs to the deploying user it acts as that user: a link that the user planted in the home
folder then leads nowhere that the user could not go.
"""
