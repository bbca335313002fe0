from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from handrail.scaffold.detect.repository import look_at
from handrail.scaffold.facts import Web

pytestmark = pytest.mark.unit

Repository = Callable[[Mapping[str, str]], Path]

MANAGE = 'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_of_ours.settings")\n'
WSGI = (
    "import os\nfrom django.core.wsgi import get_wsgi_application\n"
    'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_of_ours.settings")\napplication = get_wsgi_application()\n'
)
SETTINGS = (
    'ROOT_URLCONF = "site_of_ours.urls"\n'
    'DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db" / "shop.sqlite3"}}\n'
)


def web(repository: Repository, files: dict[str, str]) -> Web | None:
    return look_at(repository(files))[0].web


def target(found: Web | None) -> str:
    assert found is not None
    assert found.entry is not None
    return found.entry.target + ("()" if found.entry.is_factory else "")


def test_a_django_site_is_found_with_settings_and_database(repository: Repository) -> None:
    files = {"manage.py": MANAGE, "site_of_ours/__init__.py": "", "site_of_ours/settings.py": SETTINGS}
    found = web(repository, {**files, "site_of_ours/wsgi.py": WSGI})
    assert target(found) == "site_of_ours.wsgi:application"
    assert found is not None
    assert (found.framework, found.is_async, found.folder, found.manage) == ("django", False, "", "manage.py")
    assert (found.settings, found.database) == ("site_of_ours.settings", "db/shop.sqlite3")


def test_a_django_site_in_a_folder_is_imported_from_there(repository: Repository) -> None:
    files = {"web/manage.py": MANAGE, "web/site_of_ours/__init__.py": "", "web/site_of_ours/settings.py": SETTINGS}
    found = web(repository, {**files, "web/site_of_ours/asgi.py": WSGI.replace("wsgi", "asgi")})
    assert target(found) == "site_of_ours.asgi:application"
    assert found is not None
    assert (found.is_async, found.folder, found.manage) == (True, "web", "web/manage.py")
    assert found.database == "web/db/shop.sqlite3"


def test_settings_that_are_not_in_the_repository_are_replaced_by_those_that_are(repository: Repository) -> None:
    files = {"shop/__init__.py": "", "shop/settings/__init__.py": "", "shop/settings/base.py": SETTINGS}
    found = web(repository, {**files, "shop/wsgi.py": WSGI.replace("site_of_ours.settings", "shop.settings.local")})
    assert found is not None
    assert (found.settings, found.is_settings_default, found.manage) == ("shop.settings.base", False, "")


def test_a_django_library_with_a_site_to_try_it_out_is_no_service(repository: Repository) -> None:
    files = {"shop/__init__.py": "", "example/manage.py": MANAGE, "example/site_of_ours/wsgi.py": WSGI}
    assert web(repository, files) is None


@pytest.mark.parametrize(
    ("source", "framework", "expected"),
    [
        ("from flask import Flask\napp = Flask(__name__)\n", "flask", "shop.main:app"),
        ("import flask\nserver = flask.Flask(__name__)\n", "flask", "shop.main:server"),
        ("from fastapi import FastAPI as F\napi: F = F()\n", "fastapi", "shop.main:api"),
        ("from starlette.applications import Starlette\napp = Starlette()\n", "starlette", "shop.main:app"),
        ("from flask import Flask\ndef create_app(config=None):\n    return Flask(__name__)\n", "flask",
         "shop.main:create_app()"),
        ("from flask import Flask\ndef make():\n    return Flask(__name__)\napp = make()\n", "flask", "shop.main:app"),
    ],
)  # fmt: skip
def test_an_application_object_or_factory_is_found(
    repository: Repository, source: str, framework: str, expected: str
) -> None:
    found = web(repository, {"src/shop/__init__.py": "", "src/shop/main.py": source})
    assert target(found) == expected
    assert found is not None
    assert (found.framework, found.is_async) == (framework, framework != "flask")


@pytest.mark.parametrize(
    "source",
    [
        "from flask import Blueprint\napp = Blueprint('a', __name__)\n",
        "from flask import Flask\ndef create_app(needed):\n    return Flask(needed)\n",
        "class Flask: ...\napp = Flask()\n",
    ],
)
def test_what_no_server_could_run_makes_no_service(repository: Repository, source: str) -> None:
    assert web(repository, {"shop/__init__.py": "", "shop/main.py": source}) is None


def test_an_application_in_tests_docs_or_examples_makes_no_service(repository: Repository) -> None:
    source = "from flask import Flask\napp = Flask(__name__)\n"
    names = ("tests/app.py", "docs/app.py", "examples/app.py", "test_app.py")
    assert web(repository, {"shop/__init__.py": "", **dict.fromkeys(names, source)}) is None


def test_a_module_written_for_a_server_wins_over_the_factory_that_it_calls(repository: Repository) -> None:
    factory = "from flask import Flask\ndef create_app():\n    return Flask(__name__)\n"
    files = {"shop/__init__.py": factory, "shop/wsgi.py": "from shop import create_app\napplication = create_app()\n"}
    assert target(web(repository, files)) == "shop.wsgi:application"


def test_several_applications_are_a_guess_that_names_the_others(repository: Repository) -> None:
    source = "from fastapi import FastAPI\napp = FastAPI()\n"
    facts, others = look_at(repository({"shop/__init__.py": "", "shop/main.py": source, "shop/admin.py": source}))
    assert target(facts.web) == "shop.main:app"
    assert [other.target for other in others] == ["shop.admin:app"]
    assert "shop.admin:app" in facts.guesses[1].sentence


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ('@app.get("/healthz")', "/healthz"),
        ('@app.route("/api/health/")', "/api/health/"),
        ('path("ping", view)', "/ping"),
        ('@app.get("/health/{name}")', "/openapi.json"),
        ('print("/healthz")', "/openapi.json"),
        ('print("openapi_url")', ""),
    ],
)
def test_a_path_that_looks_like_a_health_check_is_found(repository: Repository, route: str, expected: str) -> None:
    source = f"from fastapi import FastAPI\napp = FastAPI()\n{route}\n"
    source += "def health(): ...\n" if route.startswith("@") else ""
    found = web(repository, {"main.py": source})
    assert found is not None
    assert found.health == expected


def test_the_server_is_the_one_that_the_project_depends_on(repository: Repository) -> None:
    source = {"main.py": "from fastapi import FastAPI\napp = FastAPI()\n"}
    found = web(repository, {**source, "requirements.txt": "fastapi\nHypercorn>=0.16\n"})
    assert found is not None
    assert found.server == "hypercorn"
