"""The same deploy with other tools, for scale.py: each installed in a folder that goes away, each configured well.

The work is the same for all: pack this commit, bring it to every host, unpack it into a new release folder, link the
shared folder into it, move the link ``current``, keep five releases. Nobody restarts a service: the hosts share one
machine's loopback. Every tool works on all hosts at once and trusts the same known_hosts.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from handrail.testing.host import Host
from handrail.testing.project import DeployProject

KEEP = 5
PACK = "git archive --format=tar HEAD | gzip -1 > client/release.tgz"
UNPACK = """set -eu
mkdir -p apps/{app}/releases/{release} apps/{app}/shared/log
tar -xzf {archive} -C apps/{app}/releases/{release}
ln -s ../../shared/log apps/{app}/releases/{release}/log"""
SWITCH = """ln -s releases/{release} apps/{app}/current.new
mv -T apps/{app}/current.new apps/{app}/current"""
PRUNE = """ls -1d apps/{app}/releases/* | sort | head -n -{keep} | xargs -r rm -rf"""


class Tool(ABC):
    """One way to deploy.

    Attributes:
        name: as the table shows it.
        app: the folder below ``apps/`` on the hosts.
    """

    name: str
    app: str

    def install(self, folder: Path) -> None:  # noqa: B027 - the script needs none
        """Install it into an empty folder."""

    def arrange(self, project: DeployProject, hosts: Sequence[Host]) -> None:  # noqa: B027 - Handrail needs none
        """Write what it needs, into the project's ignored folder ``client/``; not measured."""

    @abstractmethod
    def argv(self, release: str) -> list[str]:
        """Return the command that deploys this commit; run in the project's folder."""

    def environment(self) -> Mapping[str, str]:
        """Return what the command needs beside the ordinary environment."""
        return {}


class Handrail(Tool):
    name, app = "Handrail", "shop"

    def argv(self, release: str) -> list[str]:
        return [sys.executable, "-m", "invoke", "deploy", "--env", "test", "--yes", "--json"]


class Script(Tool):
    """What people write by hand; it verifies nothing, records nothing and cannot return."""

    name, app = "tar | ssh", "script"

    def arrange(self, project: DeployProject, hosts: Sequence[Host]) -> None:
        self.hosts = hosts
        remote = "\n".join([UNPACK, SWITCH, PRUNE]).format(app=self.app, release="$1", archive="-", keep=KEEP)
        project.write("client/remote.sh", remote)
        names = " ".join(host.name for host in hosts)
        project.write(
            "client/deploy.sh",
            f"set -eu\n{PACK}\n"
            f"printf '%s\\n' {names} | xargs -P {len(hosts)} -I HOST sh -c '\n"
            '    ssh -F client/ssh_config HOST "set -- $1; $(cat client/remote.sh)" < client/release.tgz\' sh "$1"\n',
        )

    def argv(self, release: str) -> list[str]:
        return ["sh", "client/deploy.sh", release]


class _FromPyPI(Tool):
    package: str

    def install(self, folder: Path) -> None:
        uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        if uv is None:
            raise FileNotFoundError("uv is not installed")
        _quietly([uv, "venv", "--quiet", "--python", sys.executable, str(folder)])
        _quietly([uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), self.package])
        self.bin = folder / "bin"


class Ansible(_FromPyPI):
    """With pipelining, forks for all hosts, no facts, SSH connections that are kept during the run, and time for each.

    Its own limit of 10 s for a login is too short where a hundred hosts write to one disk.
    """

    name, app, package = "Ansible", "ansible", "ansible-core"

    def arrange(self, project: DeployProject, hosts: Sequence[Host]) -> None:
        self.sockets = tempfile.mkdtemp(prefix="cp")
        names = "\n".join(host.name for host in hosts)
        project.write("client/inventory.ini", f"[all]\n{names}\n")
        project.write(
            "client/ansible.cfg",
            f"""[defaults]
forks = {len(hosts)}
gathering = explicit
host_key_checking = True
interpreter_python = python3
retry_files_enabled = False
timeout = 60
localhost_warning = False
[ssh_connection]
pipelining = True
ssh_args = -F client/ssh_config -o ControlMaster=auto -o ControlPersist=2s
control_path_dir = {self.sockets}
""",
        )
        folder = "apps/ansible"
        tasks = [
            {"file": {"path": f"{folder}/{{{{ item }}}}", "state": "directory"}},
            {"unarchive": {"src": "release.tgz", "dest": f"{folder}/releases/{{{{ release }}}}"}},
            {
                "file": {
                    "src": "../../shared/log",
                    "path": f"{folder}/releases/{{{{ release }}}}/log",
                    "state": "link",
                    "force": True,
                }
            },
            {"shell": SWITCH.format(app=self.app, release="{{ release }}")},
            {"shell": PRUNE.format(app=self.app, keep=KEEP)},
        ]
        tasks[0]["loop"] = ["releases/{{ release }}", "shared/log"]  # type: ignore[assignment]
        # JSON is YAML.
        project.write("client/deploy.yml", json.dumps([{"hosts": "all", "tasks": tasks}], indent=1))

    def argv(self, release: str) -> list[str]:
        play = f"{self.bin}/ansible-playbook -i client/inventory.ini client/deploy.yml -e release={release}"
        return ["sh", "-c", f"{PACK} && {play}"]

    def environment(self) -> Mapping[str, str]:
        return {"ANSIBLE_CONFIG": "client/ansible.cfg"}


class Pyinfra(_FromPyPI):
    name, app, package = "pyinfra", "pyinfra", "pyinfra"

    def arrange(self, project: DeployProject, hosts: Sequence[Host]) -> None:
        entries = [
            (
                host.name,
                {
                    "ssh_hostname": host.address,
                    "ssh_port": host.port,
                    "ssh_user": host.user,
                    "ssh_key": str(host.identity),
                    "ssh_allow_agent": False,
                    "ssh_look_for_keys": False,
                    "ssh_known_hosts_file": str(project.folder / "client" / "known_hosts"),
                    "ssh_strict_host_key_checking": "yes",
                },
            )
            for host in hosts
        ]
        project.write("client/inventory.py", f"hosts = {entries!r}\n")
        app = f"apps/{self.app}"
        shells = [
            f"tar -xzf {app}/release.tgz -C {app}/releases/RELEASE",
            SWITCH.format(app=self.app, release="RELEASE"),
            PRUNE.format(app=self.app, keep=KEEP),
        ]
        project.write(
            "client/deploy.py",
            f"""from pyinfra import host
from pyinfra.operations import files, server

release = host.data.release
app = {app!r}
unpack, switch, prune = (text.replace("RELEASE", release) for text in {shells!r})
files.directory(path=f"{{app}}/releases/{{release}}")
files.directory(path=f"{{app}}/shared/log")
files.put(src="client/release.tgz", dest=f"{{app}}/release.tgz")
server.shell(commands=[unpack])
files.link(path=f"{{app}}/releases/{{release}}/log", target="../../shared/log")
server.shell(commands=[switch])
server.shell(commands=[prune])
""",
        )

    def argv(self, release: str) -> list[str]:
        run = f"{self.bin}/pyinfra -y client/inventory.py client/deploy.py --data release={release}"
        return ["sh", "-c", f"{PACK} && {run}"]


def _planned(package: str, *options: str) -> set[str]:
    """Return what apt would install for a package."""
    argv = ["apt-get", "install", "--simulate", "--no-install-recommends", *options, package]
    said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    return {line.split()[1] for line in said.splitlines() if line.startswith("Inst ")}


class Capistrano(Tool):
    """Debian's packages, unpacked beside the system; its own deploy flow, with the archive in place of a git clone."""

    name, app = "Capistrano", "capistrano"

    def install(self, folder: Path) -> None:
        # Where Ruby is installed already, its packages are wanted all the same: one complete copy.
        lacking, all_of_them = _planned("capistrano"), _planned("capistrano", "-o", "Dir::State::status=/dev/null")
        wanted = sorted(lacking | {name for name in all_of_them if re.search("ruby|rake|capistrano", name)})
        _quietly(["apt-get", "-o", "APT::Sandbox::User=root", "download", *wanted], folder)
        self.root = folder / "root"
        for package in folder.glob("*.deb"):
            _quietly(["dpkg-deb", "--extract", str(package), str(self.root)])
        library = self.root / "usr" / "lib"
        (native,) = [path.parent for path in library.glob("*-linux-gnu*/ruby")]
        version = next((library / "ruby" / "gems").iterdir()).name
        self.variables = {
            "LD_LIBRARY_PATH": f"{library}:{native}",
            "RUBYLIB": f"{library}/ruby/{version}:{native}/ruby/{version}:{library}/ruby/vendor_ruby",
            "GEM_PATH": ":".join(
                [
                    f"{self.root}/usr/share/rubygems-integration/all",
                    f"{native}/rubygems-integration/{version}",
                    f"{library}/ruby/gems/{version}",
                ]
            ),
        }
        (self.ruby,) = (self.root / "usr" / "bin").glob("ruby3.?")

    def arrange(self, project: DeployProject, hosts: Sequence[Host]) -> None:
        servers = "\n".join(f"server {host.name!r}, user: {host.user!r}, roles: %w[app]" for host in hosts)
        project.write(
            "client/Capfile",
            f"""set :stage_config_path, "client/stages"
set :deploy_config_path, "client/stages/all.rb"
require "capistrano/setup"
require "capistrano/deploy"
require "capistrano/scm/plugin"

class Archive < Capistrano::SCM::Plugin
  def define_tasks
    namespace :archive do
      task :create_release do
        on release_roles(:all) do
          execute :mkdir, "-p", release_path
          upload! "client/release.tgz", "#{{release_path}}.tgz".delete_prefix("~/"), log_percent: 101
          execute :tar, "-xzf", "#{{release_path}}.tgz", "-C", release_path
          execute :rm, "#{{release_path}}.tgz"
        end
      end
    end
  end

  def register_hooks
    after "deploy:new_release_path", "archive:create_release"
  end
end

install_plugin Archive
set :stage, :test
set :application, {self.app!r}
set :deploy_to, "~/apps/{self.app}"
set :keep_releases, {KEEP}
append :linked_dirs, "log"
set :format, :simpletext
set :log_level, :error
known = {{ verify_host_key: :always, user_known_hosts_file: "client/known_hosts" }}
set :ssh_options, {{ config: ["client/ssh_config"], **known }}
SSHKit.config.use_format :blackhole
{servers}
""",
        )

        for name in ("all", "test"):
            project.write(f"client/stages/{name}.rb", "")

    def argv(self, release: str) -> list[str]:
        cap = f"{self.ruby} {self.root}/usr/bin/cap -f client/Capfile test deploy"
        return ["sh", "-c", f"{PACK} && {cap}"]

    def environment(self) -> Mapping[str, str]:
        return self.variables


ALL: tuple[type[Tool], ...] = (Script, Handrail, Capistrano, Ansible, Pyinfra)


def _quietly(argv: Sequence[str], folder: Path | None = None) -> None:
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise FileNotFoundError(f"{' '.join(argv[:4])}: {(done.stderr or done.stdout).strip()[-400:]}")
