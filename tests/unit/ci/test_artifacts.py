"""What the relay changes between an upload and act's server, and where artifacts are after a run."""

from __future__ import annotations

import json
import threading
import zipfile
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from handrail.ci.artifacts import free_port, keep, relay

pytestmark = pytest.mark.unit

SIGNED = "http://127.0.0.1:9/Upload?sig=abc=&expires=2026-11-28+02%3A37&artifactName=dist"


class Act(BaseHTTPRequestHandler):
    asked: list[tuple[str, str, Any]] = []  # noqa: RUF012 - one server, one list

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.path, self.headers["Host"], body))
        known = set(body) <= {"name", "version"}
        said = json.dumps({"ok": True, "signedUploadUrl": SIGNED}).encode() if known else b""
        self.send_response(200 if known else 500)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def act() -> Iterator[int]:
    Act.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Act)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def post(address: str, document: object) -> tuple[int, bytes]:
    connection = HTTPConnection(str(urlsplit(address).netloc), timeout=10)
    connection.request("POST", "/twirp/CreateArtifact", json.dumps(document), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    said = answer.status, answer.read()
    connection.close()
    return said


def test_an_upload_reaches_act_without_what_act_does_not_know_and_its_signature_whole(act: int) -> None:
    with relay(act) as address:
        status, said = post(address, {"name": "dist", "version": 7, "mime_type": "application/zip"})
    assert status == 200
    # The file itself goes to act, whose own name the request carried.
    assert Act.asked == [("/twirp/CreateArtifact", f"127.0.0.1:{act}", {"name": "dist", "version": 7})]
    assert json.loads(said)["signedUploadUrl"] == SIGNED.replace("abc=", "abc%3D")


def test_an_upload_is_told_that_act_has_no_server(act: int) -> None:
    with relay(free_port()) as address:
        status, _ = post(address, {"name": "dist"})
    assert status == 502


def test_the_relay_is_gone_after_the_run(act: int) -> None:
    with relay(act) as address:
        pass
    with pytest.raises(OSError, match="refused"):
        post(address, {})


def test_artifacts_lie_in_the_project_after_a_run_and_replace_those_of_the_last_one(tmp_path: Path) -> None:
    served, root = tmp_path / "served", tmp_path / "project"
    for name in ("dist", "notes.txt", "broken"):
        (served / "1" / name).mkdir(parents=True)
    with zipfile.ZipFile(served / "1" / "dist" / "dist.zip", "w") as archive:
        archive.writestr("a.whl", "new")
    (served / "1" / "notes.txt" / "notes.txt.zip").write_text("uploaded as it is")
    (served / "1" / "broken" / "broken.zip").touch()
    folder = root / ".handrail" / "ci"
    folder.mkdir(parents=True)
    (folder / "dist.zip").write_text("old")
    assert keep(served, root) == [folder / "dist.zip", folder / "notes.txt"]
    assert zipfile.ZipFile(folder / "dist.zip").read("a.whl") == b"new"
    assert (folder / "notes.txt").read_text() == "uploaded as it is"
    assert sorted(each.name for each in folder.iterdir()) == [".gitignore", "dist.zip", "notes.txt"]
    assert keep(tmp_path / "nothing", root) == []
