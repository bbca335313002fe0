"""How the agent says no."""


class Refused(Exception):
    """An expected failure: ``kind`` tells the client what it means, ``facts`` travel with it."""

    def __init__(self, kind, message, **facts):
        super().__init__(message)
        self.kind = kind
        self.facts = facts
