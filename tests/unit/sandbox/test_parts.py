"""What the parts of a sandbox are told."""

from __future__ import annotations

import configparser
import json
from pathlib import Path

import pytest

from handrail.sandbox import manager, proxy
from handrail.sandbox.environment import host_environment, prepare_home
from handrail.sandbox.places import Places

pytestmark = pytest.mark.unit


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


@pytest.mark.security
def test_nothing_of_the_callers_environment_reaches_the_host(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter22")
    monkeypatch.setenv("PIP_INDEX_URL", "https://user:hunter22@index.example")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")

    environment = host_environment(places)

    assert not {"AWS_SECRET_ACCESS_KEY", "PIP_INDEX_URL", "PYTHONPATH", "VIRTUAL_ENV"} & set(environment)
    assert environment["HOME"] == str(places.home)
    assert environment["PATH"].startswith(f"{places.bin}:")


def test_the_hosts_python_is_no_virtual_environments(places: Places) -> None:
    prepare_home(places)

    script = (places.bin / "python3").read_text()

    assert "/.venv/" not in script
    assert (places.bin / "python3").stat().st_mode & 0o111


def test_supervisor_includes_what_deploys_write_and_stays_in_the_foreground(places: Places) -> None:
    conf = configparser.RawConfigParser()
    conf.read_string(manager.render_conf(places, Path("/tmp/s.sock")))

    assert conf["include"]["files"] == "include/*.conf"
    assert conf["supervisord"]["nodaemon"] == "true"
    assert conf["unix_http_server"] == {"file": "/tmp/s.sock", "chmod": "0700"}


def test_supervisorctl_is_where_an_agent_looks_for_it(places: Places) -> None:
    places.home.mkdir()

    manager.prepare(places, Path("/tmp/s.sock"))

    control = places.home / ".supervisor" / "bin" / "supervisorctl"
    assert control.stat().st_mode & 0o777 == 0o700
    assert (places.home / ".supervisor" / "supervisord.conf").exists()


def test_a_supervisor_that_does_not_answer_has_no_programs(tmp_path: Path) -> None:
    assert manager.programs(tmp_path / "nobody.sock") is None


def test_the_proxy_listens_on_loopback_only_and_forwards_to_the_service() -> None:
    config = proxy.render_config(admin=Path("/tmp/a.sock"), port=8888, upstream=18080)
    server = config["apps"]["http"]["servers"]["sandbox"]

    assert server["listen"] == ["127.0.0.1:8888"]
    assert server["routes"][0]["handle"][0]["upstreams"] == [{"dial": "127.0.0.1:18080"}]
    assert config["admin"]["listen"] == "unix//tmp/a.sock|0600"


def test_without_a_service_the_proxy_says_what_to_do() -> None:
    config = proxy.render_config(admin=Path("/tmp/a.sock"), port=8888, upstream=0)

    assert "inv deploy" in json.dumps(config["apps"]["http"]["servers"]["sandbox"]["routes"])
    assert "reverse_proxy" not in json.dumps(config)


def test_a_proxy_that_does_not_answer_took_no_configuration(places: Places) -> None:
    assert proxy.reload(places, {}, places.folder / "nobody.sock") is False
