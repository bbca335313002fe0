"""One host's set-up program, from the client's side: an agent's session, but as root and logged in as the admin.

The program needs Python, which a bare host may lack. So a line of POSIX shell comes first: it finds out whether this
user may become root, what the machine is, and whether a Python is there to go on with.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handrail import agent
from handrail.deploy.connect import connect, key_in_use, user_of
from handrail.deploy.session import HostError, Session
from handrail.errors import DeployFailedError, PreflightError
from handrail.hosts.packages import APT, NO_SOURCES, QUIET, explain_apt

if TYPE_CHECKING:
    from handrail.config.target import Target

MARK = "HANDRAIL-HOST"
FAMILY = ("debian", "ubuntu")
# What runs may say nothing for long (a package's own set-up); the program beats every two seconds all the same.
_INSTALL_SILENCE = 20 * 60.0

# No single quote and no exclamation mark may stand here: the login shell may be any.
_GATE = f"""
export LC_ALL=C
if [ "$(id -u)" = 0 ]; then root=; elif sudo -n true 2>/dev/null; then root="sudo -n"
else echo "{MARK} no-root"; exit 0; fi
ID=; ID_LIKE=; PRETTY_NAME="$(uname -s)"
[ -r /etc/os-release ] && . /etc/os-release
case " $ID $ID_LIKE " in *" debian "*|*" ubuntu "*) ;; *) echo "{MARK} unknown $PRETTY_NAME"; exit 0;; esac
command -v python3 >/dev/null || {{ echo "{MARK} no-python $ID|$PRETTY_NAME"; exit 0; }}
python3 -c "import sys; sys.exit(sys.version_info < (3, 8))" || {{ echo "{MARK} old-python $PRETTY_NAME"; exit 0; }}
"""


def gate(then: str) -> str:
    """Return the command line that asks what is there and goes on with ``then``, in which ``$root`` makes root."""
    return f"exec sh -c '{_GATE}{then}'"


class SetupSession(Session):
    """A session with `handrail.hosts.program`.

    Args:
        host: as the environment names it.
        login: who logs in; empty: the host's own user.

    Attributes:
        user, login: the login names of who deploys and of who sets up.
        key: the public key that the login was let in with; empty where it was none.
        without_python: the host's ``os`` facts where it has no Python to look with.
    """

    def __init__(self, host: str, target: Target, root: Path, login: str = "") -> None:
        super().__init__(host, target, root)
        self.user = user_of(host, target, root)
        self.login = login or self.user
        self.key = ""
        self.ssh_port = 22
        self.without_python: dict[str, str] = {}

    @property
    def address(self) -> str:
        """The host, with the login's name."""
        return f"{self.login}@{self.host.rpartition('@')[2]}"

    def open(self) -> dict[str, Any]:
        """Connect, become root and start the program; where there is no Python, remember that instead.

        Raises:
            PreflightError: cannot connect, may not become root, or no system that is known here.
        """
        try:
            self._connection = connect(self.address, self._target, self._root)
        except PreflightError as error:
            # The host as it is named elsewhere; whose login it was, the message says.
            error.message = error.message.replace(f"{self.address}: ", f"{self.host}: ", 1)
            error.host = self.host
            if self.login == self.user and "was not let in" in error.message:
                error.next_step = f"log in as the machine's admin: --login NAME ({error.next_step})"
            raise
        self.key = key_in_use(self._connection)
        self.ssh_port = int(self._connection.port or 22)
        self._launch()
        return {}

    def _launch(self) -> None:
        bootstrap = agent.BOOTSTRAP.replace("'", '"').replace('"', '\\"')
        self._start(gate(f'echo "{MARK} go"; exec $root python3 -u -c "{bootstrap}"'))
        word, _, rest = self._answer().partition(" ")
        self.without_python = {}
        if word == "go":
            self._send(agent.program("handrail.hosts.program", main="handrail.hosts.program.main"))
            self._skip_to_marker()
        elif word == "no-python":
            name, _, pretty = rest.partition("|")
            self.without_python = {"id": name, "id_like": "", "pretty_name": pretty}
        elif word == "no-root":
            raise self._no_root()
        elif word == "unknown":
            raise self._refuse(
                f"this is {rest}; a set-up knows Debian and Ubuntu alone",
                "prepare it by hand: docs/hosts.md has the list of what a deploy needs",
            )
        else:
            raise self._refuse(
                f"the Python of {rest} is older than 3.8", "upgrade the machine, or install a newer python3"
            )

    def _answer(self) -> str:
        said = []
        while line := self._read_line():
            if line.startswith(MARK.encode()) and line.endswith(b"\n"):
                return line.decode("utf-8", "replace").removeprefix(MARK).strip()
            said.append(line)
        _, noise = self._ended(said)
        raise HostError(self.host, "program", "the host did not answer as a POSIX shell does", lines=noise[-10:])

    def _no_root(self) -> PreflightError:
        if self.login == self.user:
            return self._refuse(
                f"user {self.login} may not become root without a password",
                "log in as the machine's admin: --login NAME (often admin, debian, ubuntu or root)",
            )
        return self._refuse(
            f"user {self.login} may not become root without a password (`sudo -n true` fails)",
            "choose another --login, or let this one in with NOPASSWD in /etc/sudoers.d",
        )

    def _refuse(self, message: str, next_step: str) -> PreflightError:
        return PreflightError(f"{self.host}: {message}", host=self.host, step="look", next_step=next_step)

    def install_python(self) -> None:
        """Have apt install Python where there is none, and start the program.

        Raises:
            DeployFailedError: apt could not.
        """
        env = " ".join(f"{name}={value}" for name, value in QUIET.items())
        lines = [
            shlex.join([*APT, *words]) for words in (["update"], ["install", "--no-install-recommends", "python3"])
        ]
        script = f"export LC_ALL=C; exec 2>&1; {env} {lines[0]}; {env} {lines[1]} && echo {MARK} done"
        become = "" if self.login == "root" else "sudo -n "
        self._start(f"exec {become}sh -c {shlex.quote(script)}")
        self._channel.settimeout(_INSTALL_SILENCE)
        said = []
        while line := self._read_line():
            said.append(line)
        if f"{MARK} done\n".encode() not in said:
            _, words = self._ended(said)
            raise DeployFailedError(
                f"{self.host}: apt could not install python3: {explain_apt(words)}",
                host=self.host,
                step="packages",
                lines=words[-10:],
                next_step=NO_SOURCES,
            )
        self._launch()
