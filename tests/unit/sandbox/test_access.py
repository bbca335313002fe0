"""Keys and the files that clients read."""

from __future__ import annotations

from pathlib import Path

import pytest

from handrail.errors import ConfigError
from handrail.sandbox.access import ensure_key, login_name, public_text, render_ssh_config, write_access
from handrail.sandbox.places import Places

pytestmark = pytest.mark.unit


@pytest.mark.security
def test_a_new_key_can_be_read_by_its_owner_only(tmp_path: Path) -> None:
    ensure_key(tmp_path / "key")

    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_a_key_is_made_once(tmp_path: Path) -> None:
    assert public_text(ensure_key(tmp_path / "key")) == public_text(ensure_key(tmp_path / "key"))


@pytest.mark.security
def test_a_key_that_others_could_read_is_closed_again(tmp_path: Path) -> None:
    ensure_key(tmp_path / "key")
    (tmp_path / "key").chmod(0o644)

    ensure_key(tmp_path / "key")

    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_a_damaged_key_is_named_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("no key\n")

    with pytest.raises(ConfigError, match="the sandbox's key cannot be read") as caught:
        ensure_key(tmp_path / "key")

    assert caught.value.next_step == "inv sandbox.down --purge"


def test_an_ssh_client_finds_the_sandbox_also_below_a_folder_with_spaces(tmp_path: Path) -> None:
    import paramiko

    places = Places(tmp_path / "my projects" / "sandbox")
    text = render_ssh_config(places, port=2201, user="ann")

    found = paramiko.SSHConfig.from_text(text).lookup("sandbox")

    assert found["hostname"] == "127.0.0.1"
    assert found["port"] == "2201"
    assert found["user"] == "ann"
    assert found["identityfile"] == [str(places.client_key)]
    assert found["identitiesonly"] == "yes"


def test_the_users_own_settings_for_all_hosts_do_not_reach_the_sandbox(tmp_path: Path) -> None:
    import paramiko

    own = "Host *\n    ProxyCommand nc %h %p\n    ProxyJump hop\n    User root2\n    StrictHostKeyChecking no\n"
    text = render_ssh_config(Places(tmp_path), port=2201, user="ann") + own

    found = paramiko.SSHConfig.from_text(text).lookup("sandbox")

    assert found.get("proxycommand") is None
    assert found["proxyjump"] == "none"
    assert found["user"] == "ann"
    assert found["stricthostkeychecking"] == "yes"


def test_known_hosts_holds_the_servers_key_under_its_address_and_port(tmp_path: Path) -> None:
    import paramiko

    places = Places(tmp_path)
    key = ensure_key(places.host_key)

    write_access(places, port=2201, host_key=key)

    known = paramiko.HostKeys(str(places.known_hosts)).lookup("[127.0.0.1]:2201")
    assert known is not None
    assert known["ssh-ed25519"].get_base64() == public_text(key).split()[1]


def test_the_login_name_is_there() -> None:
    assert login_name()
