"""The one place that opens SSH connections.

Fabric accepts any host key by default; here an unknown or changed key stops the task before anything is sent,
and the message holds the fingerprint and the command that trusts it. Gateways (ProxyJump) go through the
same class, so a jump host is checked as strictly as the host behind it.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import io
import logging
import os
import shlex
import socket
import sys
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handrail.deploy.known_hosts import trust
from handrail.errors import PreflightError, UnreachableError, as_sentence

if TYPE_CHECKING:
    import fabric

    from handrail.config.target import Target

CONNECT_TIMEOUT = 10
KEEPALIVE = 15
# sshd's MaxStartups drops connections at random when many come at once: such a refusal is worth another try.
ATTEMPTS = 4
# A connection that ends is told by us; Paramiko's own threads would write their tracebacks to the terminal.
logging.getLogger("paramiko").addHandler(logging.NullHandler())
KEY_VARIABLE = "DEPLOY_SSH_KEY"
# A server's reason for opening no channel: it is not allowed to, as with AllowTcpForwarding no.
_PROHIBITED = 1
_NO_ROUTE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN)


# Hosts behind one jump host log in through its one sshd, which counts them all: MaxStartups begins to refuse at ten.
THROUGH_ONE_GATEWAY = 8
_gateways: dict[str, threading.Semaphore] = {}
_gateways_guard = threading.Lock()
_import_guard = threading.Lock()
_parse_guard = threading.Lock()


def warm_up() -> None:
    """Import what connecting needs, in a thread: it takes a third of a second, in which others only wait."""
    threading.Thread(target=_import_libraries, daemon=True).start()


def _import_libraries() -> None:
    """Import what connecting needs, by one thread at a time.

    Paramiko's modules import each other in circles. Of two threads that enter such a circle at different places, the
    interpreter gives one a half-made module rather than let both wait for ever.
    """
    with _import_guard:
        import fabric  # noqa: F401 - the import is the work
        import tenacity  # noqa: F401

        # A thread whose host has answered waits for its turn until the one that works gives way, 5 ms as a rule, and a
        # login takes a dozen turns. A rollback of 20 hosts that are 50 ms away ends a tenth sooner with this.
        sys.setswitchinterval(0.0005)


def connect(host: str, target: Target, root: Path) -> fabric.Connection:
    """Open a strict connection to ``[user@]host[:port]``.

    Raises:
        PreflightError: unknown or changed host key, refused credentials, or an address that does not answer.
    """
    _import_libraries()
    import tenacity

    retry = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        wait=tenacity.wait_random_exponential(multiplier=0.2, max=3),
        retry=tenacity.retry_if_exception_type(_TransientError),
        reraise=True,
    )
    try:
        opened: fabric.Connection = retry(_open, host, target, root)
    except _TransientError as error:
        raise _away(host, f"the SSH server closed the connection ({error})") from None
    return opened


def address_of(host: str, target: Target, root: Path) -> str:
    """Return the name or address behind ``[user@]host[:port]``, with ssh_config's aliases resolved."""
    from handrail.config.target import parse_address

    name = parse_address(host).host
    address = str(_ssh_config(target, root).lookup(name).get("hostname", name))
    return f"[{address}]" if ":" in address else address


def user_of(host: str, target: Target, root: Path) -> str:
    """Return the login name behind ``[user@]host[:port]``: as written, else as ssh_config says, else this user's."""
    import getpass

    from handrail.config.target import parse_address

    address = parse_address(host)
    return address.user or str(_ssh_config(target, root).lookup(address.host).get("user") or getpass.getuser())


def key_in_use(connection: fabric.Connection) -> str:
    """Return the public key that a connection was let in with, as ``<type> <base64>``; empty where it was no key."""
    key = getattr(connection.transport.auth_handler, "private_key", None)
    return f"{key.get_name()} {key.get_base64()}" if key is not None else ""


class _TransientError(Exception):
    """The server hung up before it said who it is."""


def _open(host: str, target: Target, root: Path) -> fabric.Connection:
    import paramiko

    try:
        connection = _connection(host, target, root)
    except OSError as error:
        raise _unusable(host, error) from None
    except (ValueError, RuntimeError) as error:
        # A port that is no number, a file in the home of nobody.
        raise _refuse(host, f"ssh_config cannot be used: {error}", "") from None
    try:
        with _place_at_gateway(connection.ssh_config.get("proxyjump") or ""):
            connection.open()
    except paramiko.BadHostKeyException as error:
        raise _changed_key(host, error.hostname, error.key, error.expected_key) from None
    except paramiko.PasswordRequiredException:
        raise _refuse(host, "the SSH key needs a passphrase", "ssh-add the key to your agent") from None
    except paramiko.AuthenticationException as error:
        at = _not_open(connection)
        if "timeout" in str(error):
            raise _silent(host, at) from None
        jump = "" if at is connection else f" by the jump host {at.host}"
        message = f"user {at.user} was not let in{jump} ({error})"
        raise _refuse(host, message, f"try: ssh {_ssh_words(host, target)}") from None
    except paramiko.ChannelException as error:
        at = _not_open(connection)
        jump, address = at.gateway.host, f"{at.host}:{at.port}"
        if error.code == _PROHIBITED:
            raise _refuse(host, f"the jump host {jump} may not connect to {address}", "") from None
        raise _away(host, f"{address} does not answer to the jump host {jump}") from None
    except paramiko.ssh_exception.NoValidConnectionsError as error:
        first = next(iter(error.errors.values()))
        reason = (first.strerror or str(first)).lower()
        at = _not_open(connection)
        raise _away(host, f"{at.host}:{at.port} does not answer: {reason}") from None
    except (EOFError, ConnectionResetError) as error:
        raise _TransientError(error or "end of file") from None
    except paramiko.SSHException as error:
        text, at = str(error), _not_open(connection)
        if "banner" in text or "Connection reset" in text or "Connection lost" in text:
            raise _TransientError(text) from None
        if "Timeout opening channel" in text:
            raise _silent(host, at) from None
        if text == "No existing session":
            # Paramiko waits for the handshake, and goes on without one.
            if not at.client.get_transport().initial_kex_done:
                raise _silent(host, at) from None
            text = f"the server hung up while user {at.user} logged in"
        if "private key" in text:
            files = ", ".join(at.ssh_config.get("identityfile", ["one in ~/.ssh"]))
            text = f"an SSH key is {text} (of: {files})"
        raise _refuse(host, text, "") from None
    except TimeoutError:
        raise _silent(host, _not_open(connection)) from None
    except socket.gaierror as error:
        raise _away(host, f"{_not_open(connection).host}: {error.strerror}") from None
    except OSError as error:
        if error.errno in _NO_ROUTE:
            at = _not_open(connection)
            raise _away(host, f"{at.host}:{at.port} does not answer: {os.strerror(error.errno).lower()}") from None
        # An unreadable key file.
        raise _unusable(host, error) from None
    except ValueError as error:
        raise _refuse(host, str(error), "") from None
    finally:
        if not connection.is_connected:
            connection.close()
    transport = connection.transport
    transport.set_keepalive(KEEPALIVE)
    if isinstance(transport.sock, socket.socket):
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _place_at_gateway(gateway: str) -> AbstractContextManager[object]:
    if gateway.lower() in ("", "none"):
        return nullcontext()
    with _gateways_guard:
        return _gateways.setdefault(gateway, threading.Semaphore(THROUGH_ONE_GATEWAY))


def _refuse(host: str, message: str, next_step: str) -> PreflightError:
    return PreflightError(f"{host}: cannot connect: {message}", host=host, step="connect", next_step=next_step)


def _unusable(host: str, error: OSError) -> PreflightError:
    return _refuse(host, as_sentence(error), "")


def _not_open(connection: Any) -> Any:
    """Return the connection that could not be opened: the one to a jump host, or the one that goes through it."""
    gateway = connection.gateway
    if not isinstance(gateway, type(connection)):
        return connection
    first = _not_open(gateway)
    return first if first.transport is None else connection


def _silent(host: str, at: Any) -> UnreachableError:
    return _away(host, f"{at.host}:{at.port} did not answer within {CONNECT_TIMEOUT} s")


def _away(host: str, message: str) -> UnreachableError:
    return UnreachableError(f"{host}: cannot connect: {message}", host=host, step="connect")


def _ssh_words(host: str, target: Target) -> str:
    config = f"-F {shlex.quote(target.ssh_config)} " if target.ssh_config else ""
    return config + shlex.quote(host)


def _fingerprint(key: Any) -> str:
    digest = base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")
    return f"{key.get_name()} SHA256:{digest}"


def _changed_key(host: str, hostname: str, key: Any, expected: Any) -> PreflightError:
    return _refuse(
        host,
        f"the host key has CHANGED: it is {_fingerprint(key)}, known_hosts says {_fingerprint(expected)}",
        f"if the host was re-installed: ssh-keygen -R {shlex.quote(hostname)}, then trust the new key",
    )


def _ssh_config(target: Target, root: Path) -> Any:
    """Return the user's, the system's and the environment's own ssh_config as one; first match wins, as in ssh."""
    texts = []
    paths = [root / target.ssh_config] if target.ssh_config else []
    paths += [Path("~/.ssh/config").expanduser(), Path("/etc/ssh/ssh_config")]
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            if target.ssh_config and path == root / target.ssh_config:
                raise PreflightError(
                    f"{target.ssh_config}: no such ssh_config file",
                    next_step="is the sandbox up? try: inv sandbox.up",
                ) from None
            continue
        except OSError as error:
            raise PreflightError(f"{path}: {error.strerror}") from None
        texts.append(text)
    try:
        with _parse_guard:
            # "Match all" ends a file's last Host block, so that the next file's top lines are not part of it.
            return _parsed("\nHost *\n".join(texts))
    except Exception as error:
        raise PreflightError(f"ssh_config cannot be read: {error}") from None


@lru_cache(maxsize=4)
def _parsed(text: str) -> Any:
    """Return an ssh_config; under `_parse_guard`, else every host's thread parses it."""
    _import_libraries()
    import paramiko

    class SSHConfig(paramiko.SSHConfig):  # type: ignore[misc]
        """Paramiko's, which asks the name service for this machine's full name at every path, with or without %l."""

        def _tokenize(self, config: Any, target_hostname: str, key: str, value: str) -> str:
            if "%" in value:
                expanded: str = super()._tokenize(config, target_hostname, key, value)
                return expanded
            return value.replace("~", str(Path.home())) if "~" in self._allowed_tokens(key) else value

    return SSHConfig.from_text(text)


def _connection(host: str, target: Target, root: Path) -> fabric.Connection:
    import fabric
    import paramiko

    class RefuseUnknownKey(paramiko.MissingHostKeyPolicy):  # type: ignore[misc]
        """An unknown key is refused with what is needed to trust it."""

        def __init__(self, revoked: frozenset[bytes]) -> None:
            self.revoked = revoked

        def missing_host_key(self, client: Any, hostname: str, key: Any) -> None:
            if key.asbytes() in self.revoked:
                raise _refuse(host, f"known_hosts says that the host key is revoked: {_fingerprint(key)}", "")
            place = target.known_hosts or "~/.ssh/known_hosts"
            name, _, port = hostname.strip("[").partition("]:")
            scan = f"ssh-keyscan{' -p ' + port if port else ''} {shlex.quote(name)} >> {place}"
            raise _refuse(
                host,
                f"the host key is unknown: {_fingerprint(key)}",
                f"compare the fingerprint with the host's own, then trust it: {scan}",
            )

    class StrictConnection(fabric.Connection):  # type: ignore[misc]
        """A Fabric connection, and so are its gateways, that knows its host keys or does not connect."""

        def __init__(self, host: str, config: Any, *, is_jump_host: bool = False, **kwargs: Any) -> None:
            # A dictionary of its own: those of the settings merge all of them anew at each change.
            login = {"transport_factory": _transport}
            login.update((key, value) for key, value in config.connect_kwargs.items() if key != "key_filename")
            super().__init__(host, config=config, connect_timeout=CONNECT_TIMEOUT, connect_kwargs=login, **kwargs)
            _set_login(self.connect_kwargs, self.ssh_config, is_jump_host=is_jump_host)
            named = self.ssh_config.get("userknownhostsfile", "~/.ssh/known_hosts")
            # One quoted path may hold spaces; several paths are separated by them.
            paths = [named] if Path(named).expanduser().is_file() else named.split()
            files = [Path(path).expanduser() for path in [*paths, "/etc/ssh/ssh_known_hosts"]]
            if target.known_hosts:
                files.insert(0, root / target.known_hosts)
            name = self.host if self.port == 22 else f"[{self.host}]:{self.port}"
            revoked = trust(self.client.get_host_keys(), name, files)
            self.client.set_missing_host_key_policy(RefuseUnknownKey(revoked))

        def get_gateway(self) -> Any:
            jump = self.ssh_config.get("proxyjump") or "none"
            if jump.lower() == "none":
                return self.ssh_config.get("proxycommand")
            gateway = None
            for hop in jump.split(","):
                config = self.config.clone()
                gateway = StrictConnection(hop, config, gateway=gateway or False, is_jump_host=True)
            return gateway

        def close(self) -> None:
            """Hang up here and at each jump host; also where the login failed, which Fabric leaves open."""
            super().close()
            self.client.close()
            if isinstance(self.gateway, StrictConnection):
                self.gateway.close()

    # One for each: a connection keeps what is its own in it.
    return StrictConnection(host, fabric.Config(ssh_config=_ssh_config(target, root)))


def _set_login(kwargs: Any, ssh_config: Mapping[str, Any], *, is_jump_host: bool) -> None:
    """Set what Paramiko is told of a login, at a host and at each jump host before it."""
    # The limit of the whole handshake ends first: a server that says nothing is away, one that hangs up is asked again.
    kwargs.setdefault("banner_timeout", 2 * CONNECT_TIMEOUT)
    kwargs.setdefault("auth_timeout", CONNECT_TIMEOUT)
    kwargs.setdefault("channel_timeout", CONNECT_TIMEOUT)
    given = _given_key()
    if given and is_jump_host:
        # It may be somebody else's, with a key of its own; but an IdentityFile is often one that only laptops have.
        files = [name for name in kwargs.get("key_filename", ()) if Path(name).expanduser().is_file()]
        kwargs.update(pkey=given, key_filename=files)
    elif given:
        kwargs.update(pkey=given, allow_agent=False, look_for_keys=False)
        kwargs.pop("key_filename", None)
    if ssh_config.get("identitiesonly", "").lower() == "yes":
        kwargs.setdefault("allow_agent", False)
        kwargs.setdefault("look_for_keys", False)


def _transport(*args: Any, **kwargs: Any) -> Any:
    """Return Paramiko's transport with AES-GCM first: a third less work than CTR with a MAC of its own."""
    transport = _transport_class()(*args, **kwargs)
    options = transport.get_security_options()
    options.ciphers = sorted(options.ciphers, key=lambda name: "gcm" not in name)
    return transport


@cache
def _transport_class() -> Any:
    """Return Paramiko's transport, but one that does not wait to hear that it may offer a key: a round trip less."""
    import paramiko
    from paramiko.auth_handler import AuthHandler

    class EagerHandler(AuthHandler):  # type: ignore[misc]
        """Sends the key's signature right after the request for the service, whose answer holds nothing."""

        def _request_auth(self) -> None:
            super()._request_auth()
            accepted = paramiko.Message()
            accepted.add_string("ssh-userauth")
            accepted.rewind()
            super()._parse_service_accept(accepted)

        def _parse_service_accept(self, m: Any) -> None:
            pass

    class EagerTransport(paramiko.Transport):  # type: ignore[misc]
        """Paramiko's transport with that handler, for keys whose algorithm is no matter of what the server offers."""

        def auth_publickey(self, username: str, key: Any, event: threading.Event | None = None) -> Any:
            is_ready = self.active and self.initial_kex_done and event is None
            if not is_ready or "rsa" in key.get_name():
                return super().auth_publickey(username, key, event)
            done = threading.Event()
            self.auth_handler = EagerHandler(self)
            self.auth_handler.auth_publickey(username, key, done)
            return self.auth_handler.wait_for_response(done)

    # Both are Paramiko's inner parts: a version without them logs in as it likes.
    inner = ("_request_auth", "_parse_service_accept")
    return EagerTransport if all(hasattr(AuthHandler, name) for name in inner) else paramiko.Transport


def _given_key() -> Any:
    """Return the private key whose text the variable ``DEPLOY_SSH_KEY`` holds, or None.

    It never becomes a file: in CI the key is a secret of the environment, and so it stays in memory.
    """
    import paramiko

    text = os.environ.get(KEY_VARIABLE, "")
    if not text.strip():
        return None
    # Secrets that went through a web form may have lost the line end that OpenSSH's format asks for.
    text = text.replace("\r\n", "\n").strip() + "\n"
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key(io.StringIO(text))
        except paramiko.PasswordRequiredException:
            raise PreflightError(
                f"{KEY_VARIABLE} holds a key with a passphrase, and nobody is there to type it",
                next_step="make a key of its own for CI: ssh-keygen -t ed25519 -N '' -f deploy_key",
            ) from None
        except (paramiko.SSHException, ValueError, IndexError):
            continue
    raise PreflightError(
        f"{KEY_VARIABLE} holds no private key (expected Ed25519, ECDSA or RSA, beginning with -----BEGIN)",
        next_step=f"put the whole file into it, such as: gh secret set {KEY_VARIABLE} < deploy_key",
    )
