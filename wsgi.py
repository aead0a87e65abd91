"""The application as a web server wants it."""

import os

from app import create_app
from app.db import db
from app.schema import refuse_old_schema

app = create_app()

# Commands start here too, `db upgrade` among them; a web server must not serve an old schema.
if os.environ.get("FLASK_RUN_FROM_CLI") != "true":  # noqa: TID251  # how Flask says that a command runs
    with app.app_context():
        refuse_old_schema()
        db.engine.dispose()  # whoever is forked from here (gunicorn --preload) opens connections of their own
