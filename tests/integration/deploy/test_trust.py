from __future__ import annotations

import pytest

from handrail.testing.host import write_client_files
from handrail.testing.sshd import SshdHost

pytestmark = [pytest.mark.integration, pytest.mark.security]


def test_an_unknown_host_key_stops_the_deploy_before_anything_is_sent(new_project, sshd_host: SshdHost) -> None:
    project = new_project(sshd_host)
    project.release("one")
    write_client_files(project.folder / "client", [sshd_host], known=False)
    logins = sshd_host.connections()
    done = project.inv("deploy", "--env", "test", "--yes", "--json")
    assert done.returncode == 3, done
    assert "host key is unknown" in done.stderr
    assert "SHA256:" in done.stderr
    assert "ssh-keyscan" in done.stderr
    assert "Traceback" not in done.stderr
    assert sshd_host.connections() == logins, "not even a login was tried"
    assert sshd_host.run(f"test -e ~/apps/{project.app}", check=False).returncode == 1


def test_a_changed_host_key_stops_the_deploy_on_all_hosts(
    new_project, sshd_host: SshdHost, second_sshd_host: SshdHost
) -> None:
    project = new_project(sshd_host, second_sshd_host)
    project.release("one")
    known = project.folder / "client" / "known_hosts"
    known.write_text(sshd_host.known_host() + second_sshd_host.known_host().split()[0] + f" {sshd_host.host_key()}\n")
    done = project.inv("deploy", "--env", "test", "--yes", "--json")
    assert done.returncode == 3, done
    assert "CHANGED" in done.stderr
    assert second_sshd_host.name in done.stderr
    assert sshd_host.run(f"test -e ~/apps/{project.app}", check=False).returncode == 1


def test_ci_deploys_with_a_key_and_host_keys_that_are_only_variables(new_project, sshd_host: SshdHost) -> None:
    project = new_project(sshd_host)
    project.release("one")
    client = project.folder / "client"
    config = (client / "ssh_config").read_text()
    given = {
        "DEPLOY_SSH_KEY": sshd_host.identity.read_text().strip(),  # a web form takes the last line end away
        "DEPLOY_KNOWN_HOSTS": (client / "known_hosts").read_text(),
    }
    keyless = "".join(f"{x}\n" for x in config.splitlines() if "IdentityFile" not in x)
    # The host is its own jump host, under another name.
    jump = sshd_host.ssh_config().replace(f"Host {sshd_host.name}", "Host jump").replace("IdentityFile", "#")
    (client / "ssh_config").write_text(f"{jump}\nHost {sshd_host.name}\n    ProxyJump jump\n{keyless}")
    (client / "known_hosts").write_bytes(b"# M\xfcller's\nhost-a ssh-ed25519 AAAAC\n")  # passed over, as ssh does
    done = project.inv("deploy", "--env", "test", "--yes", "--json", env=given)
    assert done.returncode == 0, done
    assert project.served() == ["one"]

    for name, word in (("DEPLOY_SSH_KEY", "no private key"), ("DEPLOY_KNOWN_HOSTS", "line 1 is no line")):
        refused = project.inv("deploy", "--env", "test", "--yes", "--json", env={**given, name: "swordfish"})
        assert refused.returncode == 3, refused
        assert word in refused.stderr
        assert "swordfish" not in refused.stderr


def test_secrets_are_seen_by_the_service_only(new_project, sshd_host: SshdHost) -> None:
    secret = "s3cr3t-Zwiebel$'\"-kuchen"
    project = new_project(sshd_host, service={"migrate": "sh migrate.sh"})
    project.write(
        "env/example.env",
        "# Signs sessions.\n# type: string, needed by: app, secret: yes\nTEST_SIGNING_KEY=\n",
    )
    project.write("env/test.secrets.env", 'TEST_SIGNING_KEY="s3cr3t-Zwiebel$\'\\"-kuchen"\n')
    # The snapshot of all command lines is taken while the client, its connection and the agent are at work.
    project.write("migrate.sh", 'ps -eo args > "$HOME/arguments"; echo "key is $TEST_SIGNING_KEY"\n')
    project.release("one")
    done = project.inv("deploy", "--env", "test", "--yes", "--json")
    assert done.returncode == 0, done

    assert sshd_host.get(project.port).json()["variables"] == {"TEST_SIGNING_KEY": secret}
    for place, text in {
        "the command lines of all processes": sshd_host.run("cat ~/arguments").stdout,
        "standard output": done.stdout,
        "standard error": done.stderr,
        "the SSH server's log": sshd_host.ssh_log(),
    }.items():
        assert "Zwiebel" not in text, place
    found = sshd_host.run("grep --recursive --files-with-matches Zwiebel ~ || true").stdout.splitlines()
    modes = {sshd_host.run(f"stat -c %a {path}").stdout.strip() for path in found}
    assert modes == {"600"}, found
