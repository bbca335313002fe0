"""What jobs upload: act's own server takes it, behind a relay here; after the run it lies in ``.handrail/ci``.

``actions/upload-artifact`` 7 and act's server (0.2.89) do not understand each other. The action sends a field that the
server does not know, so it refuses the request; and it drops the last ``=`` of the signature in the address that the
server gives out, so that refuses the file. The relay leaves out the one and escapes the other. Only the small requests
come by here: for the files themselves act answers with an address of its own.
"""

from __future__ import annotations

import json
import shutil
import socket
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

FOLDER = ".handrail/ci"
_HERE = "127.0.0.1"
_UNKNOWN_TO_ACT = ("mime_type", "mimeType")
# Those of the connection and not of the request.
_OWN_HEADERS = ("connection", "content-length", "host", "transfer-encoding")


def free_port() -> int:
    """Return a port that nobody listens on here; act's own choice is one number, which a second act could not have."""
    with socket.socket() as probe:
        probe.bind((_HERE, 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def relay(port: int) -> Iterator[str]:
    """Yield the address of a relay to act's server, which listens on ``port`` from whenever it is started."""
    server = ThreadingHTTPServer((_HERE, 0), type("_Relay", (_Relay,), {"to": port}))
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://{_HERE}:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def variables_for_uploads(address: str) -> dict[str, str]:
    """Return what makes act and its jobs use the relay at ``address``."""
    # act's server puts the blocks of a file one behind the other as they come, whatever their order is.
    return {"ACTIONS_RUNTIME_URL": address, "ACTIONS_ARTIFACT_UPLOAD_CONCURRENCY": "1"}


def keep(served: Path, root: Path) -> list[Path]:
    """Move what act's server has in ``served`` into the project, in place of what is there; return where it is."""
    kept = []
    # One that is empty was announced and never came.
    for file in sorted(file for file in served.glob("*/*/*.zip") if file.stat().st_size):
        folder = root / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".gitignore").write_text("*\n", encoding="ascii")
        # One file that was uploaded as it is, unpacked, has this ending from act all the same.
        target = folder / (file.name if zipfile.is_zipfile(file) else file.stem)
        # Whole or not at all: the temporary folder may be another file system.
        part = folder / f".{file.name}.part"
        shutil.copyfile(file, part)
        part.replace(target)
        kept.append(target)
    return kept


class _Relay(BaseHTTPRequestHandler):
    to = 0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _OWN_HEADERS}
        connection = HTTPConnection(_HERE, self.to, timeout=60)
        try:
            connection.request(self.command, self.path, _for_act(body), headers)
            answer = connection.getresponse()
            said = _for_action(answer.read())
        except (OSError, HTTPException) as error:
            self.send_error(502, f"act's server: {error}")
            return
        finally:
            connection.close()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.getheader("Content-Type") or "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_GET = do_PUT = do_PATCH = do_DELETE = do_POST  # noqa: N815 - the names that it looks for

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that it has there
        """Say nothing: the step that asks says what came of it."""


def _for_act(body: bytes) -> bytes:
    document = _document(body)
    if not document:
        return body
    return json.dumps({name: value for name, value in document.items() if name not in _UNKNOWN_TO_ACT}).encode()


def _for_action(body: bytes) -> bytes:
    document = _document(body)
    if not document:
        return body
    escaped = {
        name: value.replace("=&", "%3D&") if isinstance(value, str) and "?sig=" in value else value
        for name, value in document.items()
    }
    return json.dumps(escaped).encode()


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
