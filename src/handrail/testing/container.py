"""A test host that is a machine of its own: a container with systemd as PID 1, OpenSSH and Caddy.

`ContainerHost` needs a Docker engine on this machine and drives it through the ``docker`` command; `engine`
starts one where it is installed and none answers. The container is on a network without a way out: no package
index can be reached from it, as on many real hosts.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from handrail.testing.host import (
    Host,
    HostUnavailableError,
    answers_ssh,
    make_key,
    require_program,
    wait_until,
)
from handrail.testing.image import USER, engine_lock, ensure_image

LABEL = "handrail.test-host"
NETWORK = "handrail-test-hosts"
_VOLATILE = ("/run", "/run/lock", "/tmp")  # noqa: S108


class ContainerHost(Host):
    """One container; user ``deploy`` has a key and may use sudo without a password.

    Args:
        folder: a folder of the test for the client's key.
        name: its alias for clients.
        options: further words for ``docker run``, such as ``["--tmpfs", "/home/deploy/apps:size=64m"]``.

    Raises on start:
        HostUnavailableError: no engine answers, or the base image cannot be made here.
    """

    manager = "systemd"
    user = USER
    port = 22
    home = f"/home/{USER}"

    def __init__(self, folder: Path, *, name: str = "container-a", options: Sequence[str] = ()) -> None:
        self.name = name
        self.client_folder = folder.resolve()
        self.identity = self.client_folder / f"{name}.key"
        self.options = list(options)
        self.container = f"handrail-test-{name}-{secrets.token_hex(4)}"
        self.address = ""

    def start(self) -> None:
        """Start the container and wait until systemd is up and sshd answers."""
        if not engine_answers():
            raise HostUnavailableError("no Docker engine answers (Debian: apt install docker.io)")
        image = self.image()
        self.client_folder.mkdir(parents=True, exist_ok=True)
        public = make_key(self.identity)
        ensure_network()
        _docker(
            "run", "--detach", "--rm", "--name", self.container, "--hostname", self.name, "--label", LABEL,
            "--network", NETWORK, "--cgroupns=private", "--cap-add", "SYS_ADMIN",
            "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined",
            *(word for folder in _VOLATILE for word in ("--tmpfs", folder)), *self.options, image,
        )  # fmt: skip
        self.address = self._find_address()
        keys = f"{self.home}/.ssh/authorized_keys"
        self.run_as_root(f"cat > {keys}; chown {self.user}: {keys}; chmod 600 {keys}", stdin=public + "\n")
        wait_until(self._is_booted, f"systemd in {self.container}", 60)
        wait_until(lambda: answers_ssh(self.address, 22), f"sshd in {self.container}", 30)

    def image(self) -> str:
        """Return the tag of the image, made where it is not there yet."""
        return ensure_image()

    def stop(self) -> None:
        """Remove the container."""
        subprocess.run(["docker", "rm", "--force", self.container], capture_output=True)

    def reboot(self) -> None:
        """Cut its power and start it again; what it kept in memory is lost, and its address may be another one."""
        _docker("restart", "--time", "0", self.container)
        self.address = self._find_address()
        # Made again when next needed, with this address.
        (self.client_folder / "ssh_config").unlink(missing_ok=True)
        wait_until(self._is_booted, f"systemd in {self.container}", 60)
        wait_until(lambda: answers_ssh(self.address, 22), f"sshd in {self.container}", 30)

    def run_as_root(self, command: str, *, stdin: str = "") -> str:
        """Run a shell command in the container, beside SSH; return its output.

        Raises:
            AssertionError: it failed.
        """
        return _docker("exec", "--interactive", self.container, "sh", "-c", command, stdin=stdin)

    def host_key(self) -> str:
        """Return the public key that the container made when it started."""
        return " ".join(self.run_as_root("cat /etc/ssh/ssh_host_ed25519_key.pub").split()[:2])

    def ssh_log(self) -> str:
        """Return the journal of the SSH service."""
        return self.run_as_root("journalctl --unit=ssh --output=cat --no-pager")

    def _find_address(self) -> str:
        words = ("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", self.container)
        return _docker(*words).strip()

    def _is_booted(self) -> bool:
        done = subprocess.run(
            ["docker", "exec", self.container, "systemctl", "is-system-running"],
            capture_output=True,
            text=True,
        )
        if "No such container" in done.stderr or "is not running" in done.stderr:
            raise AssertionError(f"the container {self.container} ended: {done.stderr.strip()}")
        return done.stdout.strip() in ("running", "degraded")


@contextmanager
def other_site(host: ContainerHost, port: int) -> Iterator[None]:
    """Have a program that is not the test's own answer on a port of a host."""
    host.run_as_root(f"systemd-run --unit=other-site python3 -m http.server {port}")
    try:
        wait_until(lambda: host.get(port).status == 200, "the other site", 10)
        yield
    finally:
        host.run_as_root("systemctl stop other-site")


@contextmanager
def engine() -> Iterator[None]:
    """Make sure that a Docker engine answers; start ``dockerd`` for the time of the block where we may.

    Raises:
        HostUnavailableError: none answers and none can be started.
    """
    require_program("docker", "Debian: apt install docker.io")
    if engine_answers():
        yield
        return
    if os.environ.get("DOCKER_HOST"):
        raise HostUnavailableError(f"no Docker engine answers at DOCKER_HOST={os.environ['DOCKER_HOST']}")
    dockerd = require_program("dockerd", "Debian: apt install docker.io")
    if os.geteuid() != 0:
        raise HostUnavailableError("no Docker engine answers, and starting dockerd needs root")
    folder = tempfile.mkdtemp(prefix="handrail-dockerd-")
    log = Path(folder, "log")
    with log.open("wb") as output:
        process = subprocess.Popen([dockerd], stdin=subprocess.DEVNULL, stdout=output, stderr=output)

    def answers() -> bool:
        if process.poll() is not None:
            tail = log.read_text(encoding="utf-8", errors="replace")[-1500:]
            raise HostUnavailableError(f"dockerd ended with {process.returncode}:\n{tail}")
        return engine_answers()

    try:
        wait_until(answers, "dockerd", 60)
        yield
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def engine_answers() -> bool:
    """Return whether the ``docker`` command reaches an engine."""
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "version"], capture_output=True).returncode == 0


def ensure_network(name: str = NETWORK) -> None:
    """Make the network without a way out; the containers' addresses are reachable from this machine."""
    # The engine itself would make two of one name for two who ask at once, and then start nothing in either.
    with engine_lock():
        if subprocess.run(["docker", "network", "inspect", name], capture_output=True).returncode != 0:
            _docker("network", "create", "--internal", name)


def _docker(*words: str, stdin: str = "") -> str:
    done = subprocess.run(["docker", *words], input=stdin, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise AssertionError(f"docker {' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout
