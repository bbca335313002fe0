"""What is there, as raw facts: what they mean is the client's business. Looking changes nothing."""

import contextlib
import glob
import grp
import hashlib
import json
import os
import pwd
import re
import shutil
import stat
import time

from handrail.agent.commands import run
from handrail.agent.files import read_json
from handrail.agent.refusal import Refused
from handrail.hosts.program.account import acting_as, run_as

# Characters of a file that is read, and written back with a line more.
MOST = 1 << 20
LISTS = "/var/lib/apt/lists"
SSHD_SETTINGS = ("allowgroups", "allowusers", "authorizedkeysfile", "passwordauthentication", "port")


def look(_program, request, _payload):
    """Return the facts about one host.

    The request names what the client wants to know of: ``user``, ``root`` and ``app`` as in pyproject.toml, ``python``
    (a minor version), and ``packages``, ``programs``, ``units``, ``files`` and ``links``.
    """
    user = request["user"]
    account = find_account(user)
    home = account["home"] if account else "/root" if user == "root" else "/home/" + user
    root = home + request["root"][1:] if request["root"][:1] == "~" else request["root"]
    folder = os.path.join(root, request["app"])
    keys = os.path.join(home, ".ssh", "authorized_keys")
    with acting_as(user if account else ""):
        paths = (home, os.path.dirname(keys), keys, folder, folder + "/shared")
        owners = {path: owner_and_mode(path) for path in paths}
        keys_text = read_text(keys)
        processes = known_processes(folder)
        has_slots = os.path.isdir(os.path.join(folder, "slots"))
    pythons = find_pythons(home)
    return {
        "os": os_release(),
        "account": account,
        "group": has_group(user),
        "home": home,
        "folder": folder,
        "keys": keys_text,
        "processes": processes,
        "slots": has_slots,
        "owners": {**owners, **{path: owner_and_mode(path) for path in request["files"]}},
        "files": {path: read_text(path) for path in request["files"]},
        "links": {path: link_target(path) for path in request["links"]},
        "unchanged": unchanged_conffiles(request["packages"], request["files"]),
        "apt": apt_facts(request["packages"]),
        "pythons": pythons,
        "has_venv": has_venv(pythons.get(request["python"])),
        "uv": find_uv(home),
        "programs": {name: shutil.which(name) or "" for name in request["programs"]},
        "systemd": os.path.isdir("/run/systemd/system"),
        "units": {name: unit(name) for name in request["units"]},
        "firewall": firewall(),
        "sshd": sshd_settings(),
        "clock_synchronised": output(["timedatectl", "show", "--property=NTPSynchronized", "--value"], 5),
        "automatic_upgrades": '"1"' in output(["apt-config", "dump", "APT::Periodic::Unattended-Upgrade"]),
    }


def output(argv, timeout=30.0):
    """Return what a command prints; nothing where it is missing or fails."""
    if shutil.which(argv[0]) is None:
        return ""
    code, lines = run(argv, timeout)
    return "\n".join(lines) if code == 0 else ""


def read_text(path):
    """Return a file's text, None where it is not there or is no file; refuse one of which this were a part alone."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            text = stream.read(MOST + 1)
    except OSError:
        return None
    if len(text) > MOST:
        raise Refused("step", "%s is larger than %d KiB: shorten it, or set this host up by hand" % (path, MOST >> 10))
    return text


def known_processes(folder):
    """Return what ran last beside the app's service and what a rollback would bring back: [name, manager, is a job].

    What these files say is the deploying user's word: names and no commands are taken from them.
    """
    found = set()
    kept = glob.glob(os.path.join(glob.escape(folder), "releases", "*", ".handrail", "processes.json"))
    for path in [os.path.join(folder, "processes.json"), *kept]:
        with contextlib.suppress(OSError, AttributeError, KeyError, TypeError):
            for spec in (read_json(path) or {}).values():
                found.add((str(spec["process"]), str(spec["manager"]), bool(spec.get("schedule"))))
    return sorted(found)


def owner_and_mode(path):
    """Return {"uid", "gid", "mode"} of what a path leads to, None where there is nothing."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return {"uid": found.st_uid, "gid": found.st_gid, "mode": stat.S_IMODE(found.st_mode)}


def link_target(path):
    try:
        return os.readlink(path)
    except OSError:
        return ""


def os_release():
    pairs = re.findall(r"(?m)^([A-Z_]+)=[\"']?([^\"'\n]*)", read_text("/etc/os-release") or "")
    found = {name.lower(): value for name, value in pairs}
    return {name: found.get(name, "") for name in ("id", "id_like", "pretty_name")}


def find_account(user):
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        return None
    return {"uid": account.pw_uid, "gid": account.pw_gid, "home": account.pw_dir, "shell": account.pw_shell}


def has_group(name):
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def apt_facts(packages):
    """Return what is installed, what apt would install, and how many seconds old its lists are (None: it has none)."""
    _, lines = run(["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\\n", *packages])
    installed = [line.split()[0] for line in lines if line.endswith(" installed")]
    candidates, name = {}, ""
    for line in run(["apt-cache", "policy", *packages])[1]:
        if line[:1].strip():
            name = line.rstrip(":")
        elif line.strip().startswith("Candidate:"):
            version = line.split(":", 1)[1].strip()
            candidates[name] = "" if version == "(none)" else version
    lists = [os.stat(path).st_mtime for path in glob.glob(LISTS + "/*Packages*") if os.path.exists(path)]
    return {
        "installed": installed,
        "candidates": candidates,
        "age": max(0.0, time.time() - max(lists)) if lists else None,
        "interrupted": bool(os.listdir("/var/lib/dpkg/updates")) or bool(output(["dpkg", "--audit"])),
    }


def unchanged_conffiles(packages, files):
    """Return those of ``files`` that are as their package brought them."""
    same = []
    for line in run(["dpkg-query", "-W", "-f", "${Conffiles}\\n", *packages])[1]:
        words = line.split()
        if len(words) >= 2 and words[0] in files:
            with contextlib.suppress(OSError), open(words[0], "rb") as stream:
                # dpkg's own digest.
                if hashlib.md5(stream.read()).hexdigest() == words[1]:  # noqa: S324
                    same.append(words[0])
    return same


def find_pythons(home):
    """Return {"3.11": path}: the interpreters that the agent finds for a user with this home."""
    found = {}
    folders = ["/usr/local/bin", "/usr/bin", home + "/.local/bin"]
    folders += sorted(glob.glob(home + "/.local/share/uv/python/*/bin"), reverse=True)
    folders += sorted(glob.glob(home + "/.pyenv/versions/*/bin"), reverse=True)
    for folder in folders:
        for path in sorted(glob.glob(folder + "/python3.*")):
            match = re.match(r"^python(3\.\d+)$", os.path.basename(path))
            if match and os.access(path, os.X_OK):
                found.setdefault(match.group(1), path)
    return found


def has_venv(python):
    if not python:
        return False
    if not python.startswith("/usr/"):
        return True  # uv's and pyenv's are whole, and root runs no program out of a home folder
    return run_as("nobody", [python, "-I", "-c", "import ensurepip, ssl, venv, zlib"])[0] == 0


def find_uv(home):
    places = (home + "/.local/bin/uv", "/usr/local/bin/uv", "/usr/bin/uv")
    return next((path for path in places if os.access(path, os.X_OK)), "")


def unit(name):
    text = output(["systemctl", "show", "--property=LoadState,ActiveState,UnitFileState", name + ".service"])
    facts = dict(line.partition("=")[::2] for line in text.splitlines())
    return {
        "is_there": facts.get("LoadState") == "loaded",
        "active": facts.get("ActiveState") in ("active", "reloading", "activating"),
        "enabled": facts.get("UnitFileState") == "enabled",
    }


def firewall():
    """Return what ufw and firewalld say, and nftables' chains that see incoming packets, with their rules."""
    found = {"ufw": output(["ufw", "status"]), "firewalld": output(["firewall-cmd", "--list-all"]), "nft": []}
    try:
        entries = json.loads(output(["nft", "-j", "list", "ruleset"]) or "{}").get("nftables", [])
    except ValueError:
        return found
    rules = [entry["rule"] for entry in entries if "rule" in entry]
    for chain in (entry["chain"] for entry in entries if entry.get("chain", {}).get("hook") == "input"):
        place = (chain["family"], chain["table"], chain["name"])
        own = [rule["expr"] for rule in rules if (rule["family"], rule["table"], rule["chain"]) == place]
        found["nft"].append(
            {"name": " ".join(place), "policy": chain.get("policy", "accept"), "rules": own[:200]},
        )
    return found


def sshd_settings():
    settings = {}
    for line in output(["sshd", "-T"]).splitlines():
        name, _, value = line.partition(" ")
        if name in SSHD_SETTINGS:
            settings[name] = (settings[name] + " " if name in settings else "") + value
    return settings
