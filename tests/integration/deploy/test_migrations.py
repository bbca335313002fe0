"""A real Django site whose database goes back with its code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from handrail.testing.host import free_port
from handrail.testing.project import DeployProject
from handrail.testing.sshd import SshdHost

pytestmark = [pytest.mark.integration, pytest.mark.slow]

# The recipe of docs/databases.md, for one settings module.
DOCS = Path(__file__).parents[3] / "docs" / "databases.md"
MODELS = """\
from django.db import models


class Note(models.Model):
    text = models.TextField()
"""
CREATE = """\
from django.db import migrations, models


class Migration(migrations.Migration):
    operations = [
        migrations.CreateModel("Note", [("id", models.BigAutoField(primary_key=True)), ("text", models.TextField())])
    ]
"""
ONE_WAY = """\
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("notes", "0001_initial")]
    operations = [migrations.RunPython(lambda apps, editor: None)]
"""


def recipe() -> str:
    text = DOCS.read_text(encoding="utf-8").partition("```python\n# schema.py\n")[2]
    return text.partition("```")[0].replace("shop.settings", "site_of_ours.settings")


def test_a_rollback_brings_the_schema_back_or_leaves_all_as_it_was(
    sshd_host: SshdHost, tmp_path: Path, wheel_cache: Path
) -> None:
    port = free_port()
    service = {
        "command": "gunicorn site_of_ours.wsgi:application --bind 127.0.0.1:{port} --no-control-socket",
        "port": port,
        "health": "/admin/login/",
        "health_timeout": 10,
        "migrate": "python manage.py migrate --noinput",
        "migrate_state": "python schema.py state",
        "migrate_down": "python schema.py down",
        "shared": ["db.sqlite3"],
    }
    project = DeployProject(tmp_path / "site", "notes-site", [sshd_host], {"service": service}, cache=wheel_cache)
    venv = tmp_path / "django"
    uv = [sys.executable, "-m", "uv", "--quiet"]
    subprocess.run([*uv, "venv", "--python", sys.executable, str(venv)], check=True)
    subprocess.run([*uv, "pip", "install", "--python", str(venv / "bin" / "python"), "django<6"], check=True)
    subprocess.run([venv / "bin" / "django-admin", "startproject", "site_of_ours", "."], cwd=project.folder, check=True)
    project.write("requirements.txt", "django<6\ngunicorn\n")
    project.write("schema.py", recipe())
    project.commit("startproject")
    database = f"{sshd_host.home}/apps/notes-site/shared/db.sqlite3"

    def has_notes() -> bool:
        query = "select count(*) from sqlite_master where name = 'notes_note'"
        code = f"import sqlite3; print(sqlite3.connect('{database}').execute(\\\"{query}\\\").fetchone()[0])"
        return sshd_host.run(f'python3 -c "{code}"').stdout.strip() == "1"

    first = project.deploy()
    assert "auth 0012_alter_user_first_name_max_length" in first["schema"]["after"]

    project.write("notes/__init__.py", "")
    project.write("notes/models.py", MODELS)
    project.write("notes/migrations/__init__.py", "")
    project.write("notes/migrations/0001_initial.py", CREATE)
    settings = project.folder / "site_of_ours" / "settings.py"
    settings.write_text(settings.read_text() + 'INSTALLED_APPS.append("notes")\n')
    project.commit("notes")
    second = project.deploy()
    assert has_notes()
    assert second["schema"] == {
        "before": first["schema"]["after"],
        "after": second["schema"]["after"],
    }
    assert "notes 0001_initial" in second["schema"]["after"]

    # The older release does not start any more: code and schema both return to the release that was to be left.
    launcher = f"{sshd_host.home}/apps/notes-site/releases/{first['release']}/.handrail/run-web"
    sshd_host.run(f"cp {launcher} {launcher}.kept; echo 'exit 1' > {launcher}")
    project.rollback("--with-migrations", expect=5)
    assert has_notes()
    assert project.status()["state"] == "ok"
    sshd_host.run(f"cp {launcher}.kept {launcher}")

    project.rollback("--with-migrations")
    assert not has_notes()
    assert project.status()["hosts"][0]["running_release"] == first["release"]

    project.deploy()
    project.write("notes/migrations/0002_one_way.py", ONE_WAY)
    project.commit("a migration without a way back")
    fourth = project.deploy()
    done = project.inv("rollback", "--env", "test", "--with-migrations", "--yes", "--json")
    assert done.returncode == 4, done
    assert "IrreversibleError" in done.stderr
    assert project.status()["hosts"][0]["running_release"] == fourth["release"]

    # A deploy that changes no schema is no migration, so a rollback from it asks nothing.
    project.write("README.md", "words\n")
    project.commit("words")
    assert project.deploy()["schema"]["before"] == fourth["schema"]["after"]
    done = project.inv("rollback", "--env", "test", "--json")
    assert done.returncode == 0, done
    assert "migrations of" not in done.stderr
