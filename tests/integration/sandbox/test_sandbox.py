"""The sandbox as a host: everything here goes through its SSH server, as a deploy does."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paramiko
import pytest

from handrail.sandbox import lifecycle, manager
from handrail.sandbox.access import ensure_key
from handrail.sandbox.places import Places
from handrail.sandbox.processes import lock_holder, members

pytestmark = pytest.mark.integration

MIB = 1 << 20


def until(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)
    return value


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


class Sandbox:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.places = Places.of(root)
        self.port = free_port()
        self.clients: list[paramiko.SSHClient] = []

    def up(self) -> dict[str, Any]:
        return lifecycle.up(self.root, self.port)

    def connect(self, **changes: Any) -> paramiko.SSHClient:
        """Connect with what the sandbox's own ssh_config says, and nothing of the user's."""
        found = paramiko.SSHConfig.from_path(str(self.places.ssh_config)).lookup("sandbox")
        client = paramiko.SSHClient()
        self.clients.append(client)
        client.load_host_keys(str(self.places.known_hosts))
        arguments = {
            "username": found["user"],
            "key_filename": found["identityfile"],
            "allow_agent": False,
            "look_for_keys": False,
            "timeout": 10,
        }
        client.connect(found["hostname"], int(found["port"]), **{**arguments, **changes})
        return client

    def channel(self, client: paramiko.SSHClient | None = None) -> paramiko.Channel:
        transport = (client or self.connect()).get_transport()
        assert transport is not None
        channel = transport.open_session()
        channel.settimeout(30)
        return channel

    def run(self, command: str, data: bytes = b"") -> tuple[int, bytes, bytes]:
        channel = self.channel()
        channel.exec_command(command)

        def send() -> None:
            # A command that closes its input may end, and its channel with it, while there is still something to send.
            with contextlib.suppress(OSError):
                channel.sendall(data)
                channel.shutdown_write()

        sender = threading.Thread(target=send)
        sender.start()
        out = channel.makefile("rb").read()
        err = channel.makefile_stderr("rb").read()
        sender.join()
        return channel.recv_exit_status(), out, err

    def close(self) -> None:
        for client in self.clients:
            client.close()
        lifecycle.down(self.root)


@pytest.fixture(scope="module")
def shared() -> Iterator[Sandbox]:
    with tempfile.TemporaryDirectory() as folder:
        sandbox = Sandbox(Path(folder) / "my project")
        sandbox.root.mkdir()
        sandbox.up()
        yield sandbox
        sandbox.close()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Sandbox]:
    sandbox = Sandbox(tmp_path)
    yield sandbox
    sandbox.close()


# ---------------------------------------------------------------- commands


def test_a_command_runs_in_the_hosts_home_with_the_hosts_environment(shared: Sandbox) -> None:
    code, out, _ = shared.run('pwd; echo "$HOME"; command -v python3')

    assert code == 0
    assert out.decode().split("\n")[:3] == [*[str(shared.places.home)] * 2, str(shared.places.bin / "python3")]


def test_the_hosts_python_is_the_one_that_runs_this(shared: Sandbox) -> None:
    _, out, _ = shared.run("python3 -c 'import sys; print(sys.version_info[:2], sys.prefix == sys.base_prefix)'")

    assert out.decode().strip() == f"{sys.version_info[:2]} True"


def test_bytes_go_through_unchanged_in_both_directions(shared: Sandbox) -> None:
    data = bytes(range(256)) * 4096 + os.urandom(MIB) + b"\r\n\x00\x04\xff"

    assert shared.run("cat", data) == (0, data, b"")


def test_standard_error_is_a_stream_of_its_own(shared: Sandbox) -> None:
    assert shared.run("echo out; echo err >&2; exit 3") == (3, b"out\n", b"err\n")


def test_a_command_that_needs_a_shell_gets_one(shared: Sandbox) -> None:
    assert shared.run("for i in 1 2; do echo $i; done | tail -1") == (0, b"2\n", b"")


def test_death_by_a_signal_is_reported_with_its_name(shared: Sandbox) -> None:
    config = str(shared.places.ssh_config)
    ended = subprocess.run(
        ["ssh", "-v", "-F", config, "sandbox", "kill -KILL $$"], capture_output=True, text=True, check=False
    )

    assert ended.returncode == 255
    assert "exit-signal" in ended.stderr


@pytest.mark.parametrize("reader", ["cat", "sleep 0.3; cat", "dd bs=9999 2>/dev/null"])
def test_a_slow_reader_gets_all_bytes_in_order(shared: Sandbox, reader: str) -> None:
    data = os.urandom(8 * MIB)

    channel = shared.channel()
    channel.exec_command(f"({reader}) > got.{len(reader)}")
    channel.sendall(data)
    channel.shutdown_write()

    assert channel.recv_exit_status() == 0
    got = (shared.places.home / f"got.{len(reader)}").read_bytes()
    assert got == data


def test_a_large_upload_arrives_whole_and_is_not_collected_in_memory(shared: Sandbox) -> None:
    holder = lock_holder(shared.places.lock)
    before = peak_memory(holder)
    chunk = os.urandom(MIB)
    digest = hashlib.sha256()
    channel = shared.channel()
    channel.exec_command("sha256sum || shasum -a 256")
    for _ in range(100):
        channel.sendall(chunk)
        digest.update(chunk)
    channel.shutdown_write()

    assert channel.makefile("rb").read().split()[0].decode() == digest.hexdigest()
    assert peak_memory(holder) - before < 20 * MIB


def test_a_command_that_does_not_read_stops_the_client_and_not_the_host(shared: Sandbox) -> None:
    holder = lock_holder(shared.places.lock)
    before = peak_memory(holder)
    channel = shared.channel()
    channel.exec_command("exec sleep 600")
    channel.settimeout(1)
    sent = 0

    try:
        while sent < 64 * MIB:
            sent += channel.send(b"x" * 65536)
    except TimeoutError:
        pass

    assert sent < 16 * MIB
    assert peak_memory(holder) - before < 20 * MIB
    assert shared.run("echo still here") == (0, b"still here\n", b"")


def test_a_client_that_does_not_read_stops_the_command_and_not_the_host(shared: Sandbox) -> None:
    holder = lock_holder(shared.places.lock)
    before = peak_memory(holder)
    channel = shared.channel()
    channel.exec_command(
        "python3 -c 'import sys\nfor i in range(64): sys.stdout.buffer.write(bytes(1 << 20)); "
        "print(i, file=sys.stderr, flush=True)'"
    )
    # It says how far it came on the other stream, until its pipe is full.
    channel.settimeout(1)
    told = b""
    try:
        while len(told) < 1000:
            told += channel.recv_stderr(1000)
    except TimeoutError:
        pass

    assert b"63" not in told
    assert peak_memory(holder) - before < 20 * MIB
    channel.settimeout(30)
    assert len(channel.makefile("rb").read()) == 64 * MIB


def peak_memory(pid: int) -> int:
    """Return the most bytes that a process ever had in memory; 0 where the system does not say."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return 0
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmHWM")) * 1024


def test_a_command_whose_input_ends_may_go_on_writing(shared: Sandbox) -> None:
    assert shared.run("cat >/dev/null; echo read all", b"x" * MIB) == (0, b"read all\n", b"")


def test_a_command_that_closes_its_input_does_not_hang_the_client(shared: Sandbox) -> None:
    code, out, _ = shared.run("exec <&-; echo deaf; sleep 0.2", b"x" * (8 * MIB))

    assert (code, out) == (0, b"deaf\n")


def test_a_command_lives_on_when_its_client_is_cut_off_and_sees_its_input_end(own: Sandbox) -> None:
    own.up()
    client = own.connect()
    channel = own.channel(client)
    channel.exec_command("echo started; cat >/dev/null; trap '' PIPE; echo gone; echo survived > proof")
    assert channel.recv(100) == b"started\n"
    transport = client.get_transport()
    assert transport is not None

    transport.sock.shutdown(socket.SHUT_RDWR)

    until(lambda: (own.places.home / "proof").exists())


def test_a_background_process_outlives_its_command(own: Sandbox) -> None:
    own.up()

    code, out, _ = own.run("sleep 600 </dev/null >/dev/null 2>&1 & echo $!")

    assert code == 0
    assert int(out) in [process.pid for process in members(own.places.folder)]


def test_several_commands_run_at_a_time_on_one_connection_up_to_a_limit(shared: Sandbox) -> None:
    client = shared.connect()
    open_now = [shared.channel(client) for _ in range(10)]
    for channel in open_now:
        channel.exec_command("cat")

    with pytest.raises(paramiko.ChannelException):
        shared.channel(client)

    open_now[0].shutdown_write()
    assert open_now[0].recv_exit_status() == 0
    open_now[0].close()
    until(lambda: can_open(shared, client))


def can_open(sandbox: Sandbox, client: paramiko.SSHClient) -> bool:
    try:
        sandbox.channel(client).exec_command("true")
    except paramiko.ChannelException:
        return False
    return True


def test_the_systems_ssh_client_runs_a_script_without_a_terminal(shared: Sandbox) -> None:
    config = str(shared.places.ssh_config)

    ended = subprocess.run(
        ["ssh", "-F", config, "sandbox"], input="echo $((6 * 7))\n", capture_output=True, text=True, check=False
    )

    assert (ended.returncode, ended.stdout) == (0, "42\n"), ended.stderr


# ---------------------------------------------------------------- trust


@pytest.mark.security
def test_another_key_is_not_let_in(shared: Sandbox, tmp_path: Path) -> None:
    ensure_key(tmp_path / "other")

    with pytest.raises(paramiko.AuthenticationException):
        shared.connect(key_filename=str(tmp_path / "other"))


@pytest.mark.security
def test_another_user_is_not_let_in(shared: Sandbox) -> None:
    with pytest.raises(paramiko.AuthenticationException):
        shared.connect(username="somebody")


@pytest.mark.security
def test_a_password_is_not_asked_for(shared: Sandbox) -> None:
    with pytest.raises(paramiko.BadAuthenticationType) as caught:
        shared.connect(key_filename=None, password="secret")

    assert caught.value.allowed_types == ["publickey"]


@pytest.mark.security
def test_a_server_with_another_host_key_is_refused(shared: Sandbox) -> None:
    entry = shared.places.known_hosts.read_text().split()
    client = paramiko.SSHClient()
    wrong = paramiko.RSAKey.generate(2048)
    client.get_host_keys().add(entry[0], "ssh-rsa", wrong)
    shared.clients.append(client)

    with pytest.raises(paramiko.SSHException):
        client.connect("127.0.0.1", int(entry[0].split(":")[1]), username="x", allow_agent=False, look_for_keys=False)


@pytest.mark.security
def test_ports_are_not_forwarded(shared: Sandbox) -> None:
    transport = shared.connect().get_transport()
    assert transport is not None

    with pytest.raises(paramiko.ChannelException):
        transport.open_channel("direct-tcpip", ("127.0.0.1", 22), ("127.0.0.1", 0))


@pytest.mark.security
def test_keys_and_folder_are_closed_to_others(shared: Sandbox) -> None:
    for path in (shared.places.client_key, shared.places.host_key):
        assert path.stat().st_mode & 0o777 == 0o600
    for path in (shared.places.folder, shared.places.home):
        assert path.stat().st_mode & 0o777 == 0o700


# ---------------------------------------------------------------- parts


def test_a_program_file_becomes_a_running_program_that_the_status_names(own: Sandbox) -> None:
    own.up()
    program = "[program:shop-web]\ncommand=sleep 600\nstartsecs=0\n"
    own.run("cat > ~/.supervisor/include/shop-web.conf", program.encode())

    code, out, err = own.run("~/.supervisor/bin/supervisorctl -c ~/.supervisor/supervisord.conf update")

    assert (code, err) == (0, b""), out
    entry = next(p for p in own.up()["processes"] if p["name"] == "shop-web")
    assert entry["state"] == "running"
    assert "sleep 600" in [p.command for p in members(own.places.folder) if p.pid == entry["pid"]]


def test_the_proxy_passes_on_what_the_service_says_and_is_helpful_before(shared: Sandbox) -> None:
    url = lifecycle.status(shared.root)["url"]
    assert get(url) == (502, "Nothing answers here yet. Try: inv deploy --env sandbox\n")

    with subprocess.Popen(
        [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(shared.port)],
        cwd=shared.root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as service:
        (shared.root / "page.txt").write_text("from the service\n")
        until(lambda: get(url)[0] == 200)
        assert get(f"{url}/page.txt") == (200, "from the service\n")
        service.kill()


# ---------------------------------------------------------------- life


def test_a_second_up_is_a_no_op_that_says_so(own: Sandbox) -> None:
    first = own.up()
    started = own.places.state.read_bytes()

    second = own.up()

    assert (first.pop("changed"), second.pop("changed")) == ("started", "")
    assert second == first
    assert own.places.state.read_bytes() == started


def test_two_ups_at_once_make_one_sandbox(own: Sandbox) -> None:
    documents: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda: documents.append(own.up())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({json.dumps(d["processes"]) for d in documents}) == 1
    assert all(d["running"] and not d["problems"] for d in documents)


def test_down_leaves_no_process_and_up_remembers_ports_and_keys(own: Sandbox) -> None:
    first = own.up()
    own.run("sleep 600 </dev/null >/dev/null 2>&1 &")
    key = own.places.client_key.read_bytes()

    down = lifecycle.down(own.root)

    assert down["was_running"] is True
    assert members(own.places.folder) == []
    assert not own.places.folder.joinpath("run").exists()
    assert lifecycle.status(own.root)["running"] is False
    again = own.up()
    assert (again["ssh"], again["url"]) == (first["ssh"], first["url"])
    assert own.places.client_key.read_bytes() == key


def test_down_stops_programs_the_way_they_want_to_be_stopped(own: Sandbox) -> None:
    own.up()
    polite = own.places.home / "polite.sh"
    polite.write_text("trap 'echo bye > farewell; exit 0' TERM\necho > ready\nwhile :; do sleep 0.05; done\n")
    program = "[program:shop-web]\ncommand=/bin/sh polite.sh\n"
    own.run("cat > ~/.supervisor/include/shop-web.conf", program.encode())
    own.run("~/.supervisor/bin/supervisorctl -c ~/.supervisor/supervisord.conf update")
    until((own.places.home / "ready").exists)

    lifecycle.down(own.root)

    assert (own.places.home / "farewell").read_text() == "bye\n"


def test_two_sandboxes_run_at_once(own: Sandbox, shared: Sandbox) -> None:
    document = own.up()

    other = lifecycle.status(shared.root)
    assert document["url"] != other["url"]
    assert document["ssh"]["port"] != other["ssh"]["port"]
    assert own.run("pwd")[1] != shared.run("pwd")[1]
    lifecycle.down(own.root)
    assert lifecycle.status(shared.root)["problems"] == []


def test_a_taken_port_is_replaced_and_clients_find_the_new_one(own: Sandbox) -> None:
    port = own.up()["ssh"]["port"]
    lifecycle.down(own.root)
    with socket.create_server(("127.0.0.1", port), reuse_port=False):
        assert own.up()["ssh"]["port"] != port
        assert own.run("echo found")[1] == b"found\n"


def test_after_the_daemons_sudden_death_the_next_up_ends_what_it_left(own: Sandbox) -> None:
    own.up()
    orphans = {process.pid for process in members(own.places.folder)}
    os.kill(lock_holder(own.places.lock), signal.SIGKILL)
    until(lambda: lock_holder(own.places.lock) == 0)
    status = lifecycle.status(own.root)
    assert status["running"] is False
    assert "left of a sandbox that was not stopped" in status["problems"][0]

    document = own.up()

    assert document["changed"] == "started"
    assert document["problems"] == []
    assert not orphans & {process.pid for process in members(own.places.folder)}


@pytest.mark.parametrize("part", ["supervisord", "caddy"])
def test_a_part_that_died_is_reported_and_started_by_the_next_up(own: Sandbox, part: str) -> None:
    own.up()
    os.kill(own.places.read_state()["children"][part], signal.SIGKILL)
    until(lambda: lifecycle.status(own.root)["problems"] == [f"{part} does not answer"])

    document = own.up()

    assert (document["changed"], document["problems"]) == ("restarted", [])


def test_a_changed_service_port_is_given_to_the_proxy_without_a_restart(own: Sandbox) -> None:
    first = own.up()
    own.port = free_port()

    second = own.up()

    assert second["changed"] == "rerouted"
    assert second["processes"] == first["processes"]
    config = json.loads((own.places.caddy / "caddy.json").read_text())
    assert str(own.port) in json.dumps(config)
    assert own.up()["changed"] == ""


def test_deleting_the_folder_ends_the_sandbox(own: Sandbox) -> None:
    own.up()
    pids = [process.pid for process in members(own.places.folder)]
    assert pids

    import shutil

    shutil.rmtree(own.places.folder)

    until(lambda: not members(own.places.folder))


def test_purge_deletes_the_folder(own: Sandbox) -> None:
    own.up()

    assert lifecycle.down(own.root, purge=True)["purged"] is True
    assert not own.places.folder.exists()


def test_a_long_path_is_no_obstacle(tmp_path: Path) -> None:
    root = tmp_path / ("long-" * 20) / ("name-" * 10)
    root.mkdir(parents=True)
    sandbox = Sandbox(root)
    try:
        assert sandbox.up()["problems"] == []
        run = Path(sandbox.places.read_state()["supervisor_socket"]).parent
        assert manager.programs(run / "supervisor.sock") == []
    finally:
        sandbox.close()
    assert not run.exists()


def test_a_start_that_fails_says_why_and_leaves_nothing(own: Sandbox) -> None:
    own.places.folder.mkdir(parents=True)
    own.places.host_key.write_text("damaged\n")

    with pytest.raises(lifecycle.TaskFailedError, match="the sandbox's key cannot be read"):
        own.up()

    assert members(own.places.folder) == []
    assert lock_holder(own.places.lock) == 0
