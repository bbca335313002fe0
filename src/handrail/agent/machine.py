"""What this host is: user, libc, interpreters, supervisor, disk."""

import os
import re
import sys

from handrail.agent.commands import run
from handrail.agent.files import entries, read_text

# Of Python 3: those that a host may have, and years of those to come.
MINORS = range(6, 40)


def user_name():
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def libc_version():
    try:
        text = os.confstr("CS_GNU_LIBC_VERSION") or ""
        name, _, version = text.partition(" ")
        if version:
            return name, version
    except (ValueError, OSError, AttributeError):
        pass
    for loader in entries("/lib", "ld-musl-")[:1]:
        _, lines = run([loader], 5)
        match = re.search(r"Version (\S+)", "\n".join(lines))
        return "musl", match.group(1) if match else ""
    return "", ""


def boot_id():
    """Return what is another one after each start of this host; "" where the kernel does not tell."""
    return read_text("/proc/sys/kernel/random/boot_id").strip()


def find_pythons():
    """Return {"3.11": path}: real interpreters by minor version, found by name; this one first."""
    found = {"%d.%d" % sys.version_info[:2]: sys.executable}
    home = os.path.expanduser("~")
    folders = [f for f in os.environ.get("PATH", "").split(os.pathsep) if f and not f.endswith("/shims")]
    folders += ["/usr/local/bin", "/usr/bin", "/opt/homebrew/bin", os.path.join(home, ".local", "bin")]
    for versions in (".local/share/uv/python", os.path.join(os.environ.get("PYENV_ROOT", ".pyenv"), "versions")):
        folders += [os.path.join(version, "bin") for version in reversed(entries(os.path.join(home, versions)))]
    different = {}
    for folder in filter(os.path.isdir, folders):
        # On many systems /bin is /usr/bin.
        different.setdefault(os.path.realpath(folder), folder)
    for folder in different.values():
        # Asked by name: to list a folder of programs takes longer than all these questions.
        for minor in MINORS:
            path = os.path.join(folder, "python3.%d" % minor)
            if os.path.isfile(path) and os.access(path, os.X_OK):
                found.setdefault("3.%d" % minor, path)
    return found


def find_supervisor():
    """Return where supervisor is, {"ctl", "conf", "include"}: the user's own first, then the system's."""
    home = os.path.expanduser("~/.supervisor")
    places = [
        (
            os.path.join(home, "bin", "supervisorctl"),
            os.path.join(home, "supervisord.conf"),
            os.path.join(home, "include"),
        ),
        (find_program("supervisorctl"), "/etc/supervisor/supervisord.conf", "/etc/supervisor/conf.d"),
    ]
    for ctl, conf, include in places:
        if ctl and os.access(ctl, os.X_OK) and os.path.exists(conf):
            return {"ctl": ctl, "conf": conf, "include": include}
    return None


def find_program(name):
    """Return the path of a program that PATH has, or ""."""
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        path = os.path.join(folder, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return ""


def nearest_folder(path):
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def disk(folder):
    facts = os.statvfs(nearest_folder(folder))
    return {
        "free": facts.f_bavail * facts.f_frsize,
        "total": facts.f_blocks * facts.f_frsize,
        "inodes": facts.f_files,
        "inodes_free": facts.f_favail,
    }


def is_writable(folder):
    return os.access(nearest_folder(folder), os.W_OK | os.X_OK)
