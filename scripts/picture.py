#!/usr/bin/env python3
"""Make docs/deploy.svg: a real deploy to two real hosts, as the terminal showed it.

    .venv/bin/python scripts/picture

The hosts are containers with systemd and OpenSSH (needs a Docker engine); the terminal is tmux.
"""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

from handrail.testing.container import ContainerHost, engine
from handrail.testing.host import write_client_files

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = 112
FILES = {
    "app.py": """import flask

app = flask.Flask(__name__)


@app.get("/healthz")
def healthz() -> str:
    return "ok"
""",
    "migrate.py": """print("applied 0007_orders_by_day, 0008_index_on_customer")
""",
    "requirements.in": "flask==3.1.2\ngunicorn\n",
    "tasks.py": "import handrail\n\nnamespace = handrail.collection()\n",
    ".gitignore": ".handrail/\nclient/\n",
    "pyproject.toml": """[tool.handrail]
app = "shop"

[tool.handrail.service]
command = "gunicorn app:app --bind 127.0.0.1:{port} --no-control-socket"
health = "/healthz"
migrate = "python migrate.py"

[tool.handrail.build]
python = "3.11"

[tool.handrail.environments.staging]
hosts = ["web-1", "web-2"]
ssh_config = "client/ssh_config"
known_hosts = "client/known_hosts"
reserve = 16
url = "https://staging.example.com"
""",
}


def git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)


def terminal(folder: Path, command: str) -> str:
    """Run a command in a real terminal and return the screen with its colours."""
    ended = folder / "client" / "ended"
    tmux = ["tmux", "-L", f"picture{os.getpid()}"]
    path = f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"
    shell = f"PATH={shlex.quote(path)} {command}; touch {shlex.quote(str(ended))}; sleep 600"
    subprocess.run([*tmux, "new-session", "-d", "-x", str(COLUMNS), "-y", "60", "-c", str(folder), shell], check=True)
    try:
        while not ended.exists():
            time.sleep(0.1)
        time.sleep(0.3)  # tmux draws what it has read
        screen = subprocess.run([*tmux, "capture-pane", "-e", "-p"], check=True, capture_output=True, text=True)
        return screen.stdout.rstrip()
    finally:
        subprocess.run([*tmux, "kill-server"], check=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as name, engine():
        folder = Path(name) / "shop"
        (folder / "client").mkdir(parents=True)
        for path, text in FILES.items():
            (folder / path).write_text(text)
        with (
            ContainerHost(folder / "client", name="web-1") as one,
            ContainerHost(folder / "client", name="web-2") as two,
        ):
            write_client_files(folder / "client", [one, two])
            compile_ = ["uv", "pip", "compile", "-q", "--generate-hashes", "requirements.in", "-o", "requirements.txt"]
            subprocess.run(compile_, cwd=folder, check=True)
            git(folder, "init", "-q")
            git(folder, "add", "-A")
            git(folder, "commit", "-q", "-m", "Open the shop")
            inv = [sys.executable, "-m", "invoke", "deploy", "--env", "staging", "--yes"]
            subprocess.run(inv, cwd=folder, check=True)
            with (folder / "app.py").open("a") as stream:
                stream.write("\n# polite\n")
            git(folder, "commit", "-q", "-a", "-m", "Be more polite")
            shown = terminal(folder, "inv deploy --env staging")
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi("\x1b[1m$ inv deploy --env staging\x1b[0m\n" + shown), soft_wrap=True)
    console.save_svg(str(ROOT / "docs" / "deploy.svg"), title="two hosts, one release")


if __name__ == "__main__":
    main()
