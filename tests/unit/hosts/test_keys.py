from __future__ import annotations

from pathlib import Path

import pytest
from host_facts import KEY

from handrail.errors import UsageError
from handrail.hosts.account import fingerprint
from handrail.hosts.keys import read_keys

pytestmark = [pytest.mark.unit, pytest.mark.security]


def test_public_keys_are_read_with_their_options_and_without_doubles(tmp_path: Path) -> None:
    (tmp_path / "a.pub").write_text(f'# the team\n{KEY}\n\nrestrict,command="x y" {KEY}\n')
    (tmp_path / "b.pub").write_text(KEY)
    keys = read_keys([tmp_path / "a.pub", tmp_path / "b.pub"])
    assert keys == [KEY, f'restrict,command="x y" {KEY}']


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nx\n", "is a private key, which never leaves this machine"),
        ("", "holds no key"),
        ("ssh-ed25519 AAAAnonsense me", "line 1 is no public key"),
        (KEY.replace("ssh-ed25519 ", "ssh-rsa "), "line 1 is no public key"),
        (f"{KEY}\nhello", "line 2 is no public key"),
        (f"{KEY}\x07", "line 1 is no public key"),
    ],
)
def test_what_is_no_public_key_is_refused_in_one_line(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(text)
    with pytest.raises(UsageError, match=said) as caught:
        read_keys([tmp_path / "key"])
    assert "\n" not in caught.value.message


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.pub: No such file"):
        read_keys([tmp_path / "nowhere.pub"])


def test_a_key_is_named_as_ssh_keygen_names_it() -> None:
    assert fingerprint(KEY).startswith("SHA256:")
    assert fingerprint(KEY).endswith(" (laptop)")
