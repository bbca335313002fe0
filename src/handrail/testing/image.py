"""The base image of container hosts: a small Debian with systemd, OpenSSH and Caddy.

It is made on this machine, once, from the mirror that this machine's apt uses (`debootstrap` and ``docker
import``), so it needs no image registry. The tag holds a digest of the recipe: a changed recipe makes a
new image.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from handrail.testing.host import HostUnavailableError, require_program

REPOSITORY = "handrail-test-host"
USER = "deploy"
PREFERRED_SUITE = "bookworm"
PACKAGES = (
    "ca-certificates", "caddy", "dbus", "nginx-light", "openssh-server", "procps", "python3", "python3-venv", "sudo",
    "systemd", "systemd-sysv",
)  # fmt: skip

# PID 1. Docker mounts the control groups read-only, inside the container's own namespace; systemd must write
# there. The host keys were removed from the image, so that each container has its own.
INIT = """\
#!/bin/sh
for mount in /sys/fs/cgroup /sys/fs/cgroup/*; do
    mountpoint -q "$mount" && mount -o remount,bind,rw "$mount"
done
ssh-keygen -A >/dev/null
exec /lib/systemd/systemd
"""

SETUP = f"""\
set -eu
useradd --create-home --shell /bin/bash {USER}
install -d -m 0700 -o {USER} -g {USER} /home/{USER}/.ssh
printf '{USER} ALL=(ALL) NOPASSWD: ALL\\n' > /etc/sudoers.d/{USER}
chmod 0440 /etc/sudoers.d/{USER}
printf 'LogLevel DEBUG1\\nPasswordAuthentication no\\nUseDNS no\\n' > /etc/ssh/sshd_config.d/test.conf
rm -f /etc/ssh/ssh_host_*
install -d /etc/caddy/handrail
printf 'import /etc/caddy/handrail/*.caddy\\n' >> /etc/caddy/Caddyfile
rm -f /etc/nginx/sites-enabled/default /etc/systemd/system/multi-user.target.wants/nginx.service
rm -rf /var/cache/apt/archives/*.deb /var/lib/apt/lists/*
rm -rf /usr/share/doc/* /usr/share/man/* /usr/share/locale/*
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer; do
    ln -sf /dev/null /etc/systemd/system/$unit
done
: > /etc/machine-id
chmod 0755 /usr/local/sbin/test-host-init
"""


@dataclass(frozen=True)
class Mirror:
    """Where apt gets Debian from."""

    uri: str
    suite: str
    keyring: str = ""
    trusted: bool = False


def ensure_image() -> str:
    """Return the base image's tag; make the image when it is not there yet (about a minute).

    Raises:
        HostUnavailableError: debootstrap, root or a Debian mirror is missing.
    """
    recipe = "\n".join((PREFERRED_SUITE, *PACKAGES, INIT, SETUP))
    tag = f"{REPOSITORY}:{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    with engine_lock():
        found = subprocess.run(["docker", "image", "inspect", tag], capture_output=True)
        if found.returncode != 0:
            _make_image(tag)
    return tag


@contextmanager
def engine_lock() -> Iterator[None]:
    """Keep test runs side by side from making an image or a network twice."""
    with Path(tempfile.gettempdir(), f"handrail-test-engine-{os.geteuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make_image(tag: str) -> None:
    debootstrap = require_program("debootstrap", "Debian: apt install debootstrap")
    if os.geteuid() != 0:
        raise HostUnavailableError(f"making the image {tag} needs root, for debootstrap")
    mirror = find_mirror(Path("/etc/apt"))
    argv = [debootstrap, "--variant=minbase", f"--include={','.join(PACKAGES)}"]
    if mirror.trusted:
        argv.append("--no-check-gpg")
    elif mirror.keyring:
        argv.append(f"--keyring={mirror.keyring}")
    environment = dict(os.environ)
    for option, variable in (
        ("Acquire::http::Proxy", "http_proxy"),
        ("Acquire::https::Proxy", "https_proxy"),
    ):
        if value := _apt_option(option):
            environment[variable] = value
    if certificates := _apt_option("Acquire::https::CAInfo"):
        argv.append(f"--ca-certificate={certificates}")
    with tempfile.TemporaryDirectory(prefix="handrail-image-") as temporary:
        root = Path(temporary, "root")
        done = subprocess.run(
            [*argv, mirror.suite, str(root), mirror.uri],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode != 0:
            raise HostUnavailableError(f"debootstrap failed:\n{done.stdout[-1500:]}")
        (root / "usr/local/sbin/test-host-init").write_text(INIT, encoding="utf-8")
        subprocess.run(["chroot", str(root), "/bin/sh", "-c", SETUP], check=True, capture_output=True)
        changes = ['CMD ["/usr/local/sbin/test-host-init"]', "ENV container=docker"]
        options = [word for change in changes for word in ("--change", change)]
        pack = ["tar", "-C", str(root), "--one-file-system", "-c", "."]
        with subprocess.Popen(pack, stdout=subprocess.PIPE) as archive:
            done = subprocess.run(
                ["docker", "import", *options, "-", tag], stdin=archive.stdout, capture_output=True, text=True
            )
        if archive.returncode != 0 or done.returncode != 0:
            raise HostUnavailableError(f"the image {tag} could not be imported: {done.stderr.strip()}")


def find_mirror(apt: Path) -> Mirror:
    """Return the mirror of a suite with ``main`` that apt's folder names.

    Raises:
        HostUnavailableError: there is none.
    """
    files = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]
    found = [mirror for file in files if file.is_file() for mirror in _mirrors(file)]
    for mirror in found:
        if mirror.suite == PREFERRED_SUITE:
            return mirror
    if not found:
        raise HostUnavailableError(f"{apt}/sources.list* name no Debian mirror; container hosts are made from one")
    return found[0]


def _mirrors(file: Path) -> list[Mirror]:
    text = "\n".join(
        line for line in file.read_text(encoding="utf-8", errors="replace").splitlines() if line[:1] != "#"
    )
    if file.suffix == ".sources":
        stanzas = [_fields(stanza) for stanza in re.split(r"\n\s*\n", text)]
    else:
        stanzas = [_one_line(match) for match in re.finditer(r"(?m)^deb\s+(?:\[(.*?)\]\s+)?(.+)$", text)]
    mirrors = []
    for fields in stanzas:
        types, components = fields.get("types", "").split(), fields.get("components", "").split()
        uris = [uri for uri in fields.get("uris", "").split() if uri.startswith(("http://", "https://", "file:/"))]
        suites = [suite for suite in fields.get("suites", "").split() if re.fullmatch(r"[a-z]+", suite)]
        if "deb" not in types or "main" not in components or not uris or fields.get("enabled") == "no":
            continue
        keyring = fields.get("signed-by", "")
        for suite in suites:
            mirrors.append(
                Mirror(uris[0], suite, keyring if keyring.startswith("/") else "", fields.get("trusted") == "yes")
            )
    return mirrors


def _fields(stanza: str) -> dict[str, str]:
    matches = re.finditer(r"(?m)^([A-Za-z-]+):[ \t]*(.*(?:\n[ \t].*)*)$", stanza)
    return {match[1].lower(): " ".join(match[2].split()) for match in matches}


def _one_line(match: re.Match[str]) -> dict[str, str]:
    options = dict(option.partition("=")[::2] for option in (match[1] or "").split())
    uri, suite, *components = match[2].split("#")[0].split()
    fields = {key.lower(): value for key, value in options.items()}
    return {**fields, "types": "deb", "uris": uri, "suites": suite, "components": " ".join(components)}


def _apt_option(name: str) -> str:
    done = subprocess.run(["apt-config", "shell", "VALUE", name], capture_output=True, text=True)
    match = re.match(r"VALUE='(.*)'", done.stdout)
    return match[1] if match else ""
