"""What ``sudo -l`` says a user may do, held against what a deploy runs as root (`handrail.runtime.rights`)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

_GROUP = re.compile(r"^\s*\((?P<who>[^)]*)\)\s*")
_TAG = re.compile(r"^(NO)?(PASSWD|SETENV|EXEC|LOG_INPUT|LOG_OUTPUT|MAIL|FOLLOW|INTERCEPT):\s*")
_OTHER_TAG = re.compile(r"^[A-Z_]+(?:=\S+|:)\s+")


def allowed(lines: Iterable[str]) -> list[str]:
    """Return the commands, as rules, that may be run as root without a password."""
    entries: list[str] = []
    for line in _after_heading(lines):
        # A long list is wrapped: only a new entry says as whom.
        if _GROUP.match(line):
            entries.append(line.strip())
        elif entries and line.strip():
            entries[-1] += f" {line.strip()}"
    rules = []
    for entry in entries:
        match = _GROUP.match(entry)
        who = {name.strip() for name in re.split(r"[,:]", match["who"])} if match else set()
        if not who & {"root", "ALL"}:
            continue
        needs_password = True
        for part in re.split(r"(?<!\\),\s*", entry[match.end() :] if match else entry):
            rule = part.strip()
            while (tag := _TAG.match(rule) or _OTHER_TAG.match(rule)) is not None:
                if "PASSWD" in tag[0]:
                    needs_password = not tag[0].startswith("NO")
                rule = rule[tag.end() :]
            if rule and not needs_password and not rule.startswith("!"):
                rules.append(rule)
    return rules


def missing_rights(commands: Iterable[Sequence[str]], rules: Sequence[str]) -> list[str]:
    """Return the commands that no rule allows, as text."""
    from handrail.runtime.rights import PROGRAMS

    patterns = [re.compile(_pattern(rule)) for rule in rules if rule != "ALL"]
    missing = []
    for argv in commands if "ALL" not in rules else ():
        words = [PROGRAMS.get(argv[0], argv[0]), *argv[1:]]
        text = " ".join(words).replace("{lines}", "20").replace("{instance}", "1")
        if not any(pattern.fullmatch(text) for pattern in patterns):
            missing.append(text)
    return missing


def _after_heading(lines: Iterable[str]) -> list[str]:
    lines = list(lines)
    for number, line in enumerate(lines):
        if "may run the following commands" in line:
            return lines[number + 1 :]
    return []


def _pattern(rule: str) -> str:
    """Return a rule of sudoers as a regular expression: a path alone allows any words behind it."""
    program, _, rest = rule.partition(" ")
    name = re.escape(PurePosixPath(program).name)
    folder = str(PurePosixPath(program).parent)
    # Where /bin is a link to /usr/bin, either may be written.
    known = ("/usr/bin", "/bin", "/usr/sbin", "/sbin")
    place = f"(?:{'|'.join(map(re.escape, known))})" if folder in known else re.escape(folder)
    if not rest:
        return f"{place}/{name}(?: .*)?"
    return f"{place}/{name}" + ("" if rest == '""' else f" {_words(rest)}")


def _words(text: str) -> str:
    out, at = [], 0
    while at < len(text):
        letter = text[at]
        if letter == "\\" and at + 1 < len(text):
            at += 1
            out.append(re.escape(text[at]))
        elif letter == "[" and "]" in text[at + 2 :]:
            end = text.index("]", at + 2)
            inside = text[at + 1 : end]
            out.append(f"[{'^' + inside[1:] if inside[:1] in '!^' else inside}]")
            at = end
        else:
            out.append({"*": ".*", "?": "."}.get(letter, re.escape(letter)))
        at += 1
    return "".join(out)
