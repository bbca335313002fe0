from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from handrail.testing.host import free_port
from handrail.testing.project import DeployProject
from handrail.testing.sshd import SshdHost

pytestmark = [pytest.mark.integration, pytest.mark.slow]

VIEW = """
from django.http import HttpResponse

urlpatterns.append(path("hello/", lambda request: HttpResponse("hello")))
"""


@pytest.fixture(scope="session")
def django_admin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real django-admin, in an environment of its own."""
    folder = tmp_path_factory.mktemp("django")
    uv = [sys.executable, "-m", "uv", "--quiet"]
    subprocess.run([*uv, "venv", "--python", sys.executable, str(folder)], check=True)
    subprocess.run([*uv, "pip", "install", "--python", str(folder / "bin" / "python"), "django<6"], check=True)
    return folder / "bin" / "django-admin"


def test_a_plain_django_site_is_deployed_migrated_changed_and_rolled_back(
    django_admin: Path, sshd_host: SshdHost, tmp_path: Path, wheel_cache: Path
) -> None:
    port = free_port()
    service = {
        "command": "gunicorn site_of_ours.wsgi:application --bind 127.0.0.1:{port} --no-control-socket",
        "port": port,
        "health": "/admin/login/",
        "migrate": "python manage.py migrate --noinput",
        "shared": ["db.sqlite3"],
    }
    project = DeployProject(tmp_path / "site", "site", [sshd_host], {"service": service}, cache=wheel_cache)
    subprocess.run([django_admin, "startproject", "site_of_ours", "."], cwd=project.folder, check=True)
    project.write("requirements.txt", "django<6\ngunicorn\n")
    project.commit("startproject")
    project.deploy()
    assert sshd_host.get(port, "/admin/login/").status == 200
    database = f"{sshd_host.home}/apps/site/shared/db.sqlite3"
    count = f"""python3 -c "import sqlite3; c = sqlite3.connect('{database}'); """
    tables = sshd_host.run(count + """print(c.execute('select count(*) from django_migrations').fetchone()[0])\"""")
    assert int(tables.stdout) > 10
    assert sshd_host.get(port, "/hello/").status == 404

    urls = project.folder / "site_of_ours" / "urls.py"
    urls.write_text(urls.read_text() + VIEW)
    project.commit("hello")
    project.deploy()
    assert sshd_host.get(port, "/hello/").text == "hello"

    project.rollback()
    assert sshd_host.get(port, "/hello/").status == 404
    assert sshd_host.run(count + """c.execute('select 1 from auth_user')\"""").returncode == 0
