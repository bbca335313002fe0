"""A secret is a type: everything that prints it prints the mask."""

from __future__ import annotations

MASK = "••••••"


class Secret:
    """Text whose ``str``, ``repr`` and format are a mask; ask for the raw value with `reveal`."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the raw text. Call it only where the value leaves for its destination."""
        return self._text

    def __str__(self) -> str:
        return MASK

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a Secret is not serialised; reveal() it where it is sent")


def mask_secrets(text: str, secrets: list[str]) -> str:
    """Replace each secret of four or more characters in ``text`` with the mask, longest first."""
    for secret in sorted({s for s in secrets if len(s) >= 4}, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text
