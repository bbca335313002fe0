"""A migration that cannot be undone: no rollback crosses it unless a person says so."""

from __future__ import annotations

import pytest

from handrail.testing.sshd import SshdHost

pytestmark = [pytest.mark.integration, pytest.mark.slow]

# The state is the number of the last migration; it is kept in a file of `shared`.
SCHEMA = """\
import pathlib
import sys

LAST = 1
state = pathlib.Path("data/state")
if sys.argv[1] == "state":
    print(state.read_text() if state.exists() else "0000")
else:
    state.write_text("%04d" % (LAST if sys.argv[1] == "up" else int(sys.argv[2])))
"""
SERVICE = {
    "migrate": "python3 schema.py up",
    "migrate_state": "python3 schema.py state",
    "migrate_down": "python3 schema.py down {state}",
    "shared": ["data"],
}


def test_no_rollback_crosses_an_irreversible_migration_unasked(new_project, sshd_host: SshdHost) -> None:
    project = new_project(sshd_host, service=SERVICE)
    project.write("schema.py", SCHEMA)
    project.release("one")
    first = project.deploy()["release"]
    project.write("schema.py", SCHEMA.replace("LAST = 1", "LAST = 2"))
    project.configure(service={"migrate_irreversible": ["0002"]})
    project.release("two")
    done = project.inv("deploy", "--env", "test", "--yes", "--json")
    assert done.returncode == 0, done
    second = done.document["release"]
    assert done.document["irreversible"] == ["0002"]
    assert "0002 ran and cannot be undone: a rollback from here asks for --across-irreversible" in done.stderr

    for words in ([], ["--with-migrations"]):
        done = project.inv("rollback", "--env", "test", "--yes", *words)
        assert done.returncode == 3, done
        assert f"release {second} ran 0002, which cannot be undone, and {first} is older" in done.stderr
    assert project.served() == ["two"]
    newest, *_ = project.inv("releases", "--env", "test", "--json").document["releases"]
    assert (newest["release"], newest["irreversible"]) == (second, ["0002"])

    # A reversible migration whose release fails: the card says what stays, and that what serves is well with it.
    project.write("schema.py", SCHEMA.replace("LAST = 1", "LAST = 3"))
    sshd_host.run("echo three > ~/sick")
    project.release("three")
    done = project.inv("deploy", "--env", "test", "--yes")
    assert done.returncode == 5, done
    assert f"the migration stays, with the schema at '0003', and {second} was found healthy with it" in done.stderr

    project.rollback("--across-irreversible")
    assert project.served() == ["one"]
