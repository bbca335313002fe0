"""Which host keys are trusted, by files as people and programs leave them."""

from __future__ import annotations

import base64
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import paramiko
import pytest

from handrail.deploy import connect, known_hosts
from handrail.deploy.known_hosts import trust
from handrail.errors import PreflightError

pytestmark = [pytest.mark.unit, pytest.mark.security]

KEY, OTHER = paramiko.ECDSAKey.generate(), paramiko.ECDSAKey.generate()
SHORT = base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x05short").decode()


def line(key: Any, names: str = "web1") -> str:
    return f"{names} {key.get_name()} {key.get_base64()}"


def trusted(tmp_path: Path, *files: str | bytes, name: str = "web1") -> list[Any]:
    paths = []
    for number, content in enumerate(files):
        path = tmp_path / str(number)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        paths.append(path)
    keys = paramiko.HostKeys()
    trust(keys, name, paths)
    return list((keys.lookup(name) or {}).values())


@pytest.mark.parametrize(
    "damaged",
    [
        b"web1 ssh-ed25519 AAAAC",
        f"web1 ssh-ed25519 {SHORT}".encode(),
        b"web1 ecdsa-sha2-nistp256 AAAA",
        b"web1 ssh-rsa AAAAB3NzaC1yc2E=",
        b"# M\xfcller's hosts",
        b"m\xfcller ssh-ed25519 AAAA",
        f"|1|abc {KEY.get_name()} {KEY.get_base64()}".encode(),
        f"|1|YWJj|YWJj {KEY.get_name()} {KEY.get_base64()}".encode(),
        b"@cert-authority *.example.com ssh-rsa AAAA",
        b"@revoked",
        b"<<<<<<< HEAD",
    ],
)
def test_a_line_that_makes_no_sense_is_passed_over(tmp_path: Path, damaged: bytes) -> None:
    assert trusted(tmp_path, b"\n".join([damaged, line(KEY).encode(), damaged])) == [KEY]


# The hash has a salt: the test's name must be the same for all that run the tests.
@pytest.mark.parametrize("names", ["web1", "web0,web1", pytest.param(paramiko.HostKeys.hash_host("web1"), id="hashed")])
def test_a_host_is_found_by_each_of_its_names(tmp_path: Path, names: str) -> None:
    assert trusted(tmp_path, line(KEY, names)) == [KEY]
    assert trusted(tmp_path, line(KEY, names), name="web2") == []


def test_spaces_between_words_are_as_many_as_somebody_typed(tmp_path: Path) -> None:
    assert trusted(tmp_path, "  " + line(KEY).replace(" ", "\t  ") + "  a comment") == [KEY]


def test_of_two_keys_of_one_kind_the_first_counts(tmp_path: Path) -> None:
    assert trusted(tmp_path, line(KEY) + "\n" + line(OTHER), line(OTHER)) == [KEY]


def test_a_key_that_any_file_revokes_is_not_trusted(tmp_path: Path) -> None:
    assert trusted(tmp_path, line(KEY) + "\n" + line(OTHER), "@revoked " + line(KEY, "*")) == [OTHER]
    assert trusted(tmp_path, line(KEY), " \t@revoked\t" + line(KEY, "*")) == []


def test_a_revoked_key_is_not_trusted_for_the_variable_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPLOY_KNOWN_HOSTS", f"{line(KEY)}\n{line(OTHER)}")
    assert trusted(tmp_path, "@revoked " + line(KEY, "*")) == [OTHER]
    monkeypatch.setenv("DEPLOY_KNOWN_HOSTS", f"{line(OTHER)}\n  # given up\n @revoked {line(KEY)}")
    assert trusted(tmp_path, line(KEY)) == [OTHER]
    monkeypatch.setenv("DEPLOY_KNOWN_HOSTS", "@revoked web1")
    with pytest.raises(PreflightError, match="line 1"):
        trusted(tmp_path)


def test_a_variable_with_a_line_that_makes_no_sense_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPLOY_KNOWN_HOSTS", f"# ours\n{line(KEY)}\n")
    assert trusted(tmp_path) == [KEY]
    monkeypatch.setenv("DEPLOY_KNOWN_HOSTS", f"{line(KEY)}\nweb1 ssh-ed25519 {SHORT}")
    with pytest.raises(PreflightError, match="line 2"):
        trusted(tmp_path)


def refusal(tmp_path: Path, ssh_config: str) -> str:
    (tmp_path / "ssh_config").write_text(ssh_config)
    target: Any = SimpleNamespace(ssh_config="ssh_config", known_hosts="")
    with pytest.raises(PreflightError) as refused:
        connect.connect("web1", target, tmp_path)
    assert refused.value.host == "web1"
    return refused.value.message


@pytest.mark.parametrize(
    ("option", "word"), [("Port abc", "'abc'"), ("UserKnownHostsFile ~no-such-user/known", "home directory")]
)
def test_an_option_of_ssh_config_that_makes_no_sense_is_one_line(tmp_path: Path, option: str, word: str) -> None:
    message = refusal(tmp_path, f"Host web1\n  {option}\n")
    assert message.startswith("web1: cannot connect: ssh_config cannot be used: ")
    assert word in message


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: str, *_: int) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(known_hosts, "_read", denied)
    (tmp_path / "known").touch()
    message = refusal(tmp_path, f"Host web1\n  UserKnownHostsFile {tmp_path / 'known'}\n")
    assert message == f"web1: cannot connect: {tmp_path / 'known'}: permission denied"
