"""The deploying user: account, keys, rights, folders."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable

from handrail.hosts.steps import Action, Facts, Step, folder, run, write
from handrail.hosts.want import Want
from handrail.runtime.rights import render_sudoers, root_commands

SHELL = "/bin/bash"
_NO_LOGIN = ("/usr/sbin/nologin", "/sbin/nologin", "/bin/false", "/usr/bin/false")


def user_step(want: Want, facts: Facts) -> Step:
    """The account; an existing one keeps its shell and its password."""
    account = facts["account"]
    if account is None:
        # Without a password of its own the account is locked: keys are the only way in.
        argv = ["useradd", "--create-home", "--shell", SHELL]
        argv += ["--gid", want.user] if facts["group"] else []
        return Step(
            "user",
            todo=f"make user {want.user} with home {facts['home']}, without a password",
            actions=[run(*argv, want.user)],
            looks_again=True,
        )
    if account["shell"] in _NO_LOGIN:
        return Step(
            "user",
            problem=f"user {want.user} has the shell {account['shell']}, so nobody can deploy as this user",
            next_step=f"give it one: sudo usermod --shell {SHELL} {want.user}; or deploy as another user",
        )
    if facts["owners"].get(account["home"]) is None:
        home = folder(account["home"], 0o755, owner=want.user)
        return Step("user", todo=f"make {account['home']}, the home of {want.user}", actions=[home])
    return Step("user", there=f"{want.user}, home {account['home']}")


def keys_step(want: Want, facts: Facts) -> Step:
    """Who may log in as the user; keys that are there stay."""
    text, ssh = facts["keys"] or "", f"{facts['home']}/.ssh"
    path = f"{ssh}/authorized_keys"
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    present = {blob for line in lines for blob in line.split() if blob.startswith("AAAA")}
    missing = [line for line in want.keys if blob_of(line) not in present]
    if not present and not missing:
        return Step(
            "keys",
            problem=f"no key may log in as {want.user}, and none is known that should",
            next_step="name one: --authorized-key FILE.pub",
        )
    uid = facts["account"]["uid"] if facts["account"] else None
    right = all(
        (found := facts["owners"].get(place)) and (found["uid"], found["mode"]) == (uid, mode)
        for place, mode in ((ssh, 0o700), (path, 0o600))
    )
    if not missing and right:
        return Step("keys", there=f"{_keys(len(present))} may log in as {want.user}")
    kept = f"{text}\n" if text and not text.endswith("\n") else text
    todo = [f"let {fingerprint(line)} log in as {want.user}" for line in missing]
    todo += [] if right or not text else [f"set the owner and mode of {path}"]
    actions = [folder(ssh, 0o700, user=want.user)]
    if (found := facts["owners"].get(ssh)) and found["uid"] != uid:
        actions.insert(0, folder(ssh, 0o700, owner=want.user))
    # The folder is the user's, so writing the file anew gives it its owner too.
    actions.append(write(path, kept + "".join(f"{line}\n" for line in missing), 0o600, user=want.user))
    return Step("keys", todo="; ".join(todo), actions=actions)


def _keys(count: int) -> str:
    return "1 key" if count == 1 else f"{count} keys"


def blob_of(line: str) -> str:
    """Return the base64 part of a public key's line, which is what makes it the same key."""
    return next((word for word in line.split() if word.startswith("AAAA")), "")


def fingerprint(line: str) -> str:
    """Return a public key as ``ssh-keygen -l`` names it, with its comment."""
    blob = blob_of(line)
    digest = base64.b64encode(hashlib.sha256(base64.b64decode(blob)).digest()).decode().rstrip("=")
    comment = line.partition(blob)[2].strip()
    return f"SHA256:{digest}{f' ({comment})' if comment else ''}"


def sudo_step(want: Want, facts: Facts) -> Step:
    """The commands that a deploy runs as root, and nothing else; checked by visudo before it takes effect."""
    service = want.service(facts)
    if want.user == "root" or service is None:
        why = f"{want.user} needs none" if service else "an app without a service needs none"
        return Step("sudo", there=why)
    commands = root_commands(service)
    text = render_sudoers(want.user, want.app, commands)
    found = facts["owners"].get(want.sudoers)
    if facts["files"].get(want.sudoers) == text and found and (found["uid"], found["mode"]) == (0, 0o440):
        return Step("sudo", there=f"{want.user} may run {len(commands)} commands as root")
    # A file that is not root's own would be ignored: it is made anew.
    actions: list[Action] = [write(want.sudoers, text, 0o440, check=["visudo", "-cf", "{}"])]
    if found and found["uid"] != 0:
        actions.insert(0, {"kind": "unlink", "path": want.sudoers})
    verb = "write" if found is None else "renew"
    return Step(
        "sudo", todo=f"{verb} {want.sudoers}: {want.user} may run {len(commands)} commands as root", actions=actions
    )


def folders_step(want: Want, facts: Facts) -> Step:
    """The app's folder, and what outlives a release."""
    paths = [facts["folder"], f"{facts['folder']}/shared"]
    uid = facts["account"]["uid"] if facts["account"] else None
    for path in paths:
        found = facts["owners"].get(path)
        if found and found["uid"] != uid:
            return Step(
                "folders",
                problem=f"{path} belongs to the user with the number {found['uid']}, not to {want.user}",
                next_step=f"if it may be given away: sudo chown -R {want.user}: {path}",
            )
    missing = [path for path in paths if not facts["owners"].get(path)]
    if not missing:
        return Step("folders", there=paths[0])
    return Step("folders", todo=f"make {_and(missing)}", actions=[_own(path, want, facts) for path in missing])


def _own(path: str, want: Want, facts: Facts) -> Action:
    if path.startswith(f"{facts['home']}/"):
        return folder(path, user=want.user)
    return folder(path, owner=want.user)


def _and(words: Iterable[str]) -> str:
    return " and ".join(words)
