"""A test host as a provider hands it over: an admin who may use sudo, sshd, and nothing that a deploy needs.

Its image is the base image without what a set-up brings (Python among it), and with a folder of packages beside it,
which apt on the host takes for its only source: the host has no way out, and installs all the same. The packages come
from the mirror that the base image came from, once.
"""

from __future__ import annotations

import hashlib
import secrets
import subprocess
import tempfile
from pathlib import Path

from handrail.testing.container import ContainerHost
from handrail.testing.host import HostUnavailableError
from handrail.testing.image import engine_lock, find_mirror

REPOSITORY = "handrail-test-bare-host"
ADMIN = "admin"
SOURCE = "/srv/packages"
# What the folder of packages offers, with all that they depend on.
OFFERED = ("caddy", "nginx-light", "python3", "python3-venv", "supervisor", "unattended-upgrades")

STRIP = f"""\
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get purge --yes --quiet --auto-remove caddy 'nginx*' 'python3*' 'libpython3*'
rm -rf /etc/caddy /etc/nginx /var/lib/apt/lists/* /etc/sudoers.d/deploy
userdel --remove deploy
useradd --create-home --shell /bin/bash {ADMIN}
install -d -m 0700 -o {ADMIN} -g {ADMIN} /home/{ADMIN}/.ssh
printf '{ADMIN} ALL=(ALL) NOPASSWD: ALL\\n' > /etc/sudoers.d/{ADMIN}
chmod 0440 /etc/sudoers.d/{ADMIN}
# What sudo itself leaves behind when it is first used.
install -m 0644 -o {ADMIN} -g {ADMIN} /dev/null /home/{ADMIN}/.sudo_as_admin_successful
printf 'deb [trusted=yes] file:{SOURCE} ./\\n' > /etc/apt/sources.list
"""


class BareHost(ContainerHost):
    """One container; user ``admin`` has a key and may use sudo without a password. Python is not there."""

    user = ADMIN
    home = f"/home/{ADMIN}"

    def image(self) -> str:
        """Return the tag of the image, made where it is not there yet."""
        return ensure_bare_image(super().image())


def ensure_bare_image(base: str) -> str:
    """Return the bare image's tag; make the image when it is not there yet (about half a minute).

    Raises:
        HostUnavailableError: a Debian mirror is missing.
    """
    recipe = "\n".join((base, *OFFERED, STRIP))
    tag = f"{REPOSITORY}:{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    with engine_lock():
        if subprocess.run(["docker", "image", "inspect", tag], capture_output=True).returncode != 0:
            _make_image(base, tag)
    return tag


def _make_image(base: str, tag: str) -> None:
    container = f"handrail-test-making-{secrets.token_hex(4)}"
    with tempfile.TemporaryDirectory(prefix="handrail-packages-") as temporary:
        folder = Path(temporary)
        # A sleeping shell, not systemd: nothing runs that would write while the image is made.
        _docker("run", "--detach", "--name", container, "--network", "none", base, "sleep", "600")
        try:
            _docker("exec", container, "sh", "-c", STRIP)
            status = folder / "status"
            _docker("cp", f"{container}:/var/lib/dpkg/status", str(status))
            packages = folder / "packages"
            _fetch(folder, status, packages)
            write_index(packages)
            _docker("cp", str(packages), f"{container}:{SOURCE}")
            changes = ['CMD ["/usr/local/sbin/test-host-init"]', "ENV container=docker"]
            _docker("commit", *(word for change in changes for word in ("--change", change)), container, tag)
        finally:
            subprocess.run(["docker", "rm", "--force", container], capture_output=True)


def _fetch(folder: Path, status: Path, packages: Path) -> None:
    """Have this machine's apt download what the offered packages need on a host with this dpkg status."""
    mirror = find_mirror(Path("/etc/apt"))
    for name in ("lists/partial", "archives/partial"):
        (folder / name).mkdir(parents=True)
    signed = "trusted=yes" if mirror.trusted else f"signed-by={mirror.keyring}" if mirror.keyring else ""
    sources = folder / "sources.list"
    sources.write_text(f"deb {f'[{signed}] ' if signed else ''}{mirror.uri} {mirror.suite} main\n", encoding="utf-8")
    options = {
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "-",
        "Dir::State::status": status,
        "Dir::State::lists": folder / "lists",
        "Dir::State::extended_states": folder / "extended_states",
        "Dir::Cache": folder,
        "Dir::Cache::archives": folder / "archives",
        "APT::Sandbox::User": "root",
        "APT::Keep-Downloaded-Packages": "true",
        "APT::Install-Recommends": "false",
    }
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    for command in (["update"], ["install", "--yes", "--download-only", *OFFERED]):
        done = subprocess.run(["apt-get", *words, *command], capture_output=True, text=True)
        if done.returncode != 0:
            raise HostUnavailableError(f"apt-get {command[0]} failed:\n{(done.stdout + done.stderr)[-1500:]}")
    (folder / "archives").rename(packages)
    for leftover in ("partial", "lock"):
        path = packages / leftover
        path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)


def write_index(folder: Path) -> None:
    """Write the file ``Packages`` that makes a folder of .deb files a source for apt."""
    stanzas = []
    for package in sorted(folder.glob("*.deb")):
        fields = subprocess.run(
            ["dpkg-deb", "--field", str(package)], capture_output=True, text=True, check=True
        ).stdout
        digest = hashlib.sha256(package.read_bytes()).hexdigest()
        place = f"Filename: ./{package.name}\nSize: {package.stat().st_size}\nSHA256: {digest}\n"
        stanzas.append(fields.rstrip("\n") + "\n" + place)
    (folder / "Packages").write_text("\n".join(stanzas), encoding="utf-8")


def _docker(*words: str) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise HostUnavailableError(
            f"docker {' '.join(words)[:200]} ended with {done.returncode}:\n{done.stderr[-1500:]}"
        )
    return done.stdout
