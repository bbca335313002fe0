"""What gunicorn serves: ``gunicorn webapp.wsgi:application``."""

from __future__ import annotations

from webapp import create_app

application = create_app()
