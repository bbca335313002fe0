"""What is told of a server that does not let in, by servers on this machine's loopback."""

from __future__ import annotations

import errno
import io
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import paramiko
import pytest

from handrail.deploy import connect
from handrail.errors import PreflightError, UnreachableError

pytestmark = pytest.mark.unit

KEY = paramiko.ECDSAKey.generate()


class Rules(paramiko.ServerInterface):  # type: ignore[misc]
    """Lets everybody in, to whom `login` does nothing; opens a channel or says why not."""

    def __init__(self, login: Callable[[], object] = lambda: None, channel: int = paramiko.OPEN_SUCCEEDED) -> None:
        self.login, self.channel = login, channel

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: Any) -> int:
        self.login()
        return int(paramiko.AUTH_SUCCESSFUL)

    def check_channel_direct_tcpip_request(self, chanid: int, origin: Any, destination: Any) -> int:
        return self.channel


class Servers:
    """SSH servers; one without rules takes connections and says nothing, as a frozen machine does."""

    def __init__(self) -> None:
        self.frozen = threading.Event()
        self.open: list[Any] = []

    def start(self, rules: Rules | None = None) -> int:
        """Return the port of a new server."""
        listening = socket.create_server(("127.0.0.1", 0))
        self.open.append(listening)
        threading.Thread(target=self._serve, args=(listening, rules), daemon=True).start()
        return int(listening.getsockname()[1])

    def _serve(self, listening: socket.socket, rules: Rules | None) -> None:
        with suppress(OSError):  # it was closed
            while True:
                taken, _ = listening.accept()
                self.open.append(taken)
                if rules:
                    transport = paramiko.Transport(taken)
                    self.open.append(transport)
                    transport.add_server_key(KEY)
                    transport.start_server(event=threading.Event(), server=rules)

    def stop(self) -> None:
        self.frozen.set()
        for each in reversed(self.open):
            each.close()


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Servers]:
    text = io.StringIO()
    paramiko.ECDSAKey.generate().write_private_key(text)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DEPLOY_SSH_KEY", text.getvalue())
    made = Servers()
    yield made
    made.stop()


def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int = 10, **ports: int) -> PreflightError:
    """Return why ``web1`` could not be reached; where there is a port of ``jump``, through that one."""
    monkeypatch.setattr(connect, "CONNECT_TIMEOUT", limit)
    known = [f"[127.0.0.1]:{port} {KEY.get_name()} {KEY.get_base64()}" for port in ports.values()]
    monkeypatch.setenv("DEPLOY_KNOWN_HOSTS", "\n".join(known))
    config = [f"Host {name}\n  HostName 127.0.0.1\n  Port {port}\n" for name, port in ports.items()]
    jump = "  ProxyJump jump\n" if "jump" in ports else ""
    both = "".join(f"  IdentityFile {tmp_path}/.ssh/{name}\n" for name in ("id_ecdsa", "other"))
    (tmp_path / "ssh_config").write_text("".join(config) + f"Host web1\n{jump}Host *\n{both}")
    target: Any = SimpleNamespace(ssh_config="ssh_config", known_hosts="")
    with pytest.raises(PreflightError) as error:
        connect.connect("web1", target, tmp_path)
    return error.value


def test_a_server_that_says_nothing_is_away(servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = servers.start()
    error = refused(tmp_path, monkeypatch, 1, web1=port)
    assert isinstance(error, UnreachableError)
    assert error.message == f"web1: cannot connect: 127.0.0.1:{port} did not answer within 1 s"


def test_a_server_that_falls_silent_at_the_login_is_away(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = servers.start(Rules(login=servers.frozen.wait))
    error = refused(tmp_path, monkeypatch, 2, web1=port)
    assert isinstance(error, UnreachableError)
    assert error.message.endswith(f"127.0.0.1:{port} did not answer within 2 s")


def test_a_server_that_hangs_up_at_the_login_is_there_and_refuses(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DEPLOY_SSH_KEY")
    (tmp_path / ".ssh").mkdir()
    for name in ("id_ecdsa", "other"):
        paramiko.ECDSAKey.generate().write_private_key_file(str(tmp_path / ".ssh" / name))
    port = servers.start(Rules(login=lambda: servers.open[-1].close()))
    error = refused(tmp_path, monkeypatch, web1=port)
    assert not isinstance(error, UnreachableError)
    assert "the server hung up while user" in error.message


def test_a_host_without_a_route_is_away(servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_route(*_: object) -> None:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", no_route)
    error = refused(tmp_path, monkeypatch, web1=7)
    assert isinstance(error, UnreachableError)
    assert error.message.endswith("127.0.0.1:7 does not answer: network is unreachable")


def test_a_jump_host_that_says_nothing_is_named(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = servers.start()
    error = refused(tmp_path, monkeypatch, limit=1, jump=port, web1=7)
    assert isinstance(error, UnreachableError)
    assert error.message.endswith(f"127.0.0.1:{port} did not answer within 1 s")


def test_a_host_that_is_away_from_its_jump_host_is_away(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jump = servers.start(Rules(channel=paramiko.OPEN_FAILED_CONNECT_FAILED))
    error = refused(tmp_path, monkeypatch, jump=jump, web1=7)
    assert isinstance(error, UnreachableError)
    assert error.message.endswith("127.0.0.1:7 does not answer to the jump host 127.0.0.1")


def test_a_jump_host_that_opens_no_channel_for_long_is_given_up(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = Rules()
    rules.check_channel_direct_tcpip_request = lambda *_: servers.frozen.wait()  # type: ignore[method-assign]
    error = refused(tmp_path, monkeypatch, limit=2, jump=servers.start(rules), web1=7)
    assert isinstance(error, UnreachableError)
    assert error.message.endswith("127.0.0.1:7 did not answer within 2 s")


def test_a_jump_host_that_may_not_connect_on_is_there_and_refuses(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jump = servers.start(Rules(channel=paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED))
    error = refused(tmp_path, monkeypatch, jump=jump, web1=7)
    assert not isinstance(error, UnreachableError)
    assert error.message.endswith("the jump host 127.0.0.1 may not connect to 127.0.0.1:7")


def test_nobody_stays_at_a_server_or_a_jump_host_whose_connection_failed_or_is_closed(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = Rules()
    strict.check_auth_publickey = lambda username, key: int(paramiko.AUTH_FAILED)  # type: ignore[method-assign]
    refused(tmp_path, monkeypatch, web1=servers.start(strict))
    jump = servers.start(Rules(channel=paramiko.OPEN_FAILED_CONNECT_FAILED))
    refused(tmp_path, monkeypatch, jump=jump, web1=7)
    target: Any = SimpleNamespace(ssh_config="ssh_config", known_hosts="")
    connection = connect._connection("web1", target, tmp_path)
    connection.gateway.open()
    connection.close()

    served = [each for each in servers.open if isinstance(each, paramiko.Transport)]
    for transport in served:
        transport.join(10)
    assert [transport.is_alive() for transport in served] == [False, False, False]


def test_each_jump_host_gets_the_key_and_the_time_limits(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ssh_config").write_text("Host web1\n  ProxyJump one,two\nHost *\n  IdentityFile ~/nowhere\n")
    target: Any = SimpleNamespace(ssh_config="ssh_config", known_hosts="")
    at = connect._connection("web1", target, tmp_path)
    met = []
    while at:
        met.append(at.original_host)
        kwargs = at.connect_kwargs
        assert (at.connect_timeout, kwargs["auth_timeout"], kwargs["channel_timeout"]) == (10, 10, 10)
        assert isinstance(kwargs["pkey"], paramiko.ECDSAKey)
        met[-1] += " alone" * (kwargs.get("allow_agent") is False and "key_filename" not in kwargs)
        at = at.gateway
    assert met == ["web1 alone", "two", "one"]


@pytest.mark.parametrize("own", ["there", "missing"])
def test_a_jump_host_with_a_key_of_its_own_lets_in_with_it_where_a_key_is_given(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str
) -> None:
    mine = paramiko.ECDSAKey.generate()
    (tmp_path / ".ssh").mkdir()
    mine.write_private_key_file(str(tmp_path / ".ssh" / "other"))
    if own == "there":
        paramiko.ECDSAKey.generate().write_private_key_file(str(tmp_path / ".ssh" / "id_ecdsa"))
    rules = Rules(channel=paramiko.OPEN_FAILED_CONNECT_FAILED)
    answer = {True: int(paramiko.AUTH_SUCCESSFUL), False: int(paramiko.AUTH_FAILED)}
    rules.check_auth_publickey = lambda username, key: answer[key == mine]  # type: ignore[method-assign]
    error = refused(tmp_path, monkeypatch, jump=servers.start(rules), web1=7)
    assert error.message.endswith("127.0.0.1:7 does not answer to the jump host 127.0.0.1"), "it was let in"


def test_a_key_is_offered_before_the_server_has_said_that_it_may_be(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered, send, waited = threading.Event(), paramiko.Transport._send_message, []

    def noted(self: Any, message: Any) -> None:
        kind = message.asbytes()[0]
        if self.server_mode and kind == paramiko.common.MSG_SERVICE_ACCEPT:
            waited.append(offered.wait(5))
        send(self, message)
        if not self.server_mode and kind == paramiko.common.MSG_USERAUTH_REQUEST:
            offered.set()

    monkeypatch.setattr(paramiko.Transport, "_send_message", noted)
    connection = let_in(servers.start(Rules()), tmp_path, monkeypatch)
    assert connection.transport.is_authenticated()
    assert waited == [True], "a round trip is spent on waiting for it"
    connection.close()


@pytest.mark.parametrize("is_known", [True, False])
def test_a_key_lets_in_whatever_its_kind_or_the_version_of_paramiko(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_known: bool
) -> None:
    text = io.StringIO()
    if is_known:
        paramiko.RSAKey.generate(2048).write_private_key(text)
        monkeypatch.setenv("DEPLOY_SSH_KEY", text.getvalue())
    else:
        monkeypatch.setattr(connect, "_transport_class", lambda: paramiko.Transport)
    connection = let_in(servers.start(Rules()), tmp_path, monkeypatch)
    assert connection.transport.is_authenticated()
    connection.close()


def let_in(port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a connection to ``web1``, which is the server at this port."""
    monkeypatch.setenv("DEPLOY_KNOWN_HOSTS", f"[127.0.0.1]:{port} {KEY.get_name()} {KEY.get_base64()}")
    (tmp_path / "ssh_config").write_text(f"Host web1\n  HostName 127.0.0.1\n  Port {port}\n")
    target: Any = SimpleNamespace(ssh_config="ssh_config", known_hosts="")
    return connect.connect("web1", target, tmp_path)


def test_the_paths_of_an_ssh_config_do_not_wait_for_the_name_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "ssh_config").write_text("Host web1\n  HostName a.example\n  IdentityFile ~/.ssh/one\n")
    target: Any = SimpleNamespace(ssh_config="ssh_config", known_hosts="")
    with monkeypatch.context() as patch:
        patch.setattr(socket, "getfqdn", lambda *_: pytest.fail("asked for this machine's full name"))
        found = connect._ssh_config(target, tmp_path).lookup("web1")
    assert (found["hostname"], found["identityfile"]) == ("a.example", [f"{tmp_path}/.ssh/one"])
    (tmp_path / "ssh_config").write_text("Host *\n  HostName %h.example\n  IdentityFile ~/.ssh/%l\n")
    monkeypatch.setattr(socket, "getfqdn", lambda *_: "laptop.example")
    found = connect._ssh_config(target, tmp_path).lookup("web2")
    assert (found["hostname"], found["identityfile"]) == ("web2.example", [f"{tmp_path}/.ssh/laptop.example"])


def test_many_hosts_share_one_reading_of_the_ssh_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "ssh_config").write_text("Host many\n  Port 2201\n")
    target: Any = SimpleNamespace(ssh_config="ssh_config", known_hosts="")
    parse, parsed, hosts = paramiko.SSHConfig.parse, [], 8
    together = threading.Barrier(hosts)

    def noted(self: Any, file: Any) -> None:
        parsed.append(threading.get_ident())
        # Whoever else has not found it read begins within this time.
        threading.Event().wait(0.05)
        parse(self, file)

    def one() -> None:
        together.wait(10)
        connect._ssh_config(target, tmp_path)

    monkeypatch.setattr(paramiko.SSHConfig, "parse", noted)
    threads = [threading.Thread(target=one) for _ in range(hosts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(parsed) == 1
