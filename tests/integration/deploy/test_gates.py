"""What an environment may demand before a deploy, and the bad input that only a real host shows."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from handrail.checks.record import CheckRecord, write_record
from handrail.testing.project import DeployProject
from handrail.testing.sshd import SshdHost

pytestmark = pytest.mark.integration


def refuse(project: DeployProject, *words: str, message: str) -> None:
    done = project.inv("deploy", "--env", "test", *words)
    assert done.returncode == 3, done
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_require_check_takes_only_the_commit_and_bundle_that_were_checked(new_project, sshd_host: SshdHost) -> None:
    project = new_project(sshd_host, test={"require_check": True}, hooks={"before_build": ["touch client/built"]})
    commit = project.release("one")
    refuse(project, message="has no record of inv check")
    assert not (project.folder / "client" / "built").exists(), "nothing is run or built for a commit that is refused"
    assert "would refuse: commit" in project.inv("deploy", "--env", "test", "--plan").stderr

    digest = project.inv("build", "--json").document["digest"]
    record = CheckRecord(commit, False, [digest], [{"name": "test", "state": "failed", "seconds": 1.0}], {}, "", "")
    write_record(project.folder, record)
    refuse(project, message="test: failed")

    record = CheckRecord(commit, False, [digest], [{"name": "test", "state": "passed", "seconds": 1.0}], {}, "", "")
    write_record(project.folder, record)
    project.write("serve.py", (project.folder / "serve.py").read_text() + "# a change\n")
    refuse(project, message="takes no uncommitted changes")
    assert project.served() == [""], "nothing was changed so far"

    project.git("checkout", "--quiet", "serve.py")
    project.deploy()
    assert project.served() == ["one"]
    project.release("two")
    project.deploy("--unsafe-untested")
    assert project.served() == ["two"]


def test_approval_needs_the_environments_name_or_yes(new_project, sshd_host: SshdHost) -> None:
    project = new_project(sshd_host, test={"approval": True})
    project.release("one")
    refuse(project, message="its name was not typed")
    assert project.served() == [""]
    project.deploy("--yes")
    assert project.served() == ["one"]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("none", "no such file or directory"),
        ("garbage", "not a valid OPENSSH private key file"),
        ("locked", "needs a passphrase"),
        ("stranger", "was not let in"),
    ],
)
def test_a_key_that_cannot_be_used_is_one_line_and_nothing_was_changed(
    key: str, message: str, new_project, sshd_host: SshdHost
) -> None:
    project = new_project(sshd_host)
    project.release("one")
    client: Path = project.folder / "client"
    (client / "garbage").write_text("no key\n")
    for name, word in (("locked", "secret"), ("stranger", "")):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", word, "-f", str(client / name)], check=True)
    config = (client / "ssh_config").read_text()
    (client / "ssh_config").write_text(config.replace(str(sshd_host.identity), str(client / key)))

    refuse(project, message=message)

    assert sshd_host.run(f"test -e ~/apps/{project.app}", check=False).returncode == 1


@pytest.mark.slow
def test_hooks_get_the_facts_and_a_tag_is_made(new_project, sshd_host: SshdHost) -> None:
    hook = "python3 hook.py"
    project = new_project(sshd_host, test={"tag": True}, hooks={"after_build": [hook], "after_commit": [hook]})
    project.write("hook.py", "import os\nopen('client/facts', 'a').write(' '.join(sorted(os.environ)) + '\\n')\n")
    project.release("one")

    release = project.deploy()["release"]

    built, committed = (set(line.split()) for line in (project.folder / "client" / "facts").read_text().splitlines())
    common = {"HANDRAIL_ENV", "HANDRAIL_APP", "HANDRAIL_HOSTS", "HANDRAIL_STEP", "HANDRAIL_COMMIT"}
    assert common | {"HANDRAIL_BUNDLE"} <= built
    assert common | {"HANDRAIL_BUNDLE", "HANDRAIL_RELEASE", "HANDRAIL_PREVIOUS"} <= committed
    assert project.git("tag").split() == [f"deploy/test/{release}"]


def test_a_hook_that_fails_before_the_upload_changes_nothing(new_project, sshd_host: SshdHost) -> None:
    project = new_project(sshd_host, hooks={"before_upload": ["false"]})
    project.release("one")
    refuse(project, message="false")
    assert project.status()["state"] == "empty"


def test_a_disk_that_is_too_small_is_found_before_anything_is_written(new_project, sshd_host: SshdHost) -> None:
    project = new_project(sshd_host, test={"reserve": 10_000_000})
    project.release("one")
    refuse(project, message="and a reserve of 10000000 MiB")
    assert sshd_host.run(f"test -e ~/apps/{project.app}", check=False).returncode == 1
