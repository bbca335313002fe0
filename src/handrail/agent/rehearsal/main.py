"""Where the agent of a rehearsal begins: the agent's own requests, and a rehearsal's."""

from handrail.agent import leftovers
from handrail.agent.main import operation
from handrail.agent.main import serve as serve_client
from handrail.agent.rehearsal import trial


def main(stdin):
    """Serve one client; whatever ends it, nothing of the rehearsal stays."""
    operations = {
        "look_at_database": trial.look_at_database,
        "rehearse": trial.rehearse,
        "copy_database": trial.copy_database,
        "try_up": trial.try_up,
        "try_down": trial.try_down,
        "end_rehearsal": trial.end_rehearsal,
    }
    serve_client(stdin, lambda name: operations.get(name) or operation(name), at_end=sweep_own)


def sweep_own(agent):
    if agent.app and agent.lock_fd is not None:
        leftovers.sweep(agent.app)
