"""Which environment variables a project's code reads, found by reading the source; nothing is imported or run.

`scan` reads a project, `read_source` one text. Understood are ``os.environ`` and ``os.getenv`` in all their forms,
environs, python-decouple, django-environ, Starlette's ``Config``, pydantic-settings, and ``envvar=`` of Click and
Typer; also through a name of the project's own (``env = Env()`` in one module, imported by another; a
``def get_env(name, default)`` around one of them), through constants, and in loops over literal names. A name that
only the running program knows is an `OpenRead`.
"""

from handrail.config.reads.model import OpenRead, Read, Reads, is_secret_name, is_shipped, is_system_name
from handrail.config.reads.scan import known_to_git, python_files, read_source, read_sources, scan

__all__ = [
    "OpenRead",
    "Read",
    "Reads",
    "is_secret_name",
    "is_shipped",
    "is_system_name",
    "known_to_git",
    "python_files",
    "read_source",
    "read_sources",
    "scan",
]
