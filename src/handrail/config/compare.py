"""Two environments beside each other: ``inv env --diff staging production``. Secrets are only equal or different."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from handrail.config.secret import MASK, Secret

if TYPE_CHECKING:
    from handrail.config.values import Value, Values

State = Literal["equal", "different", "only in the first", "only in the second"]


@dataclass(frozen=True)
class Difference:
    """One variable in both; the shown texts are masked where it is a secret in either."""

    name: str
    state: State
    secret: bool
    first: str | None
    second: str | None
    sources: tuple[str, str]

    def document(self) -> dict[str, object]:
        return {
            "name": self.name, "state": self.state, "secret": self.secret,
            "values": [self.first, self.second], "sources": list(self.sources),
        }  # fmt: skip


def compare(first: Values, second: Values) -> list[Difference]:
    """Return every variable that either has, by name. An empty value counts as none, as it does for a task."""
    found = []
    for name in sorted({*first, *second}):
        one, two = first.get(name), second.get(name)
        texts = [value.text if value and value.text else None for value in (one, two)]
        if texts == [None, None]:
            continue
        state: State = "equal" if texts[0] == texts[1] else "different"
        if None in texts:
            state = "only in the second" if texts[0] is None else "only in the first"
        secret = any(value is not None and isinstance(value.value, Secret) for value in (one, two))
        shown = [MASK if secret and text is not None else text for text in texts]
        found.append(Difference(name, state, secret, shown[0], shown[1], (_source(one), _source(two))))
    return found


def _source(value: Value | None) -> str:
    return value.source if value else ""
