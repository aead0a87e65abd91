"""The application as a web server wants it."""

import sys

from app import create_app
from app.schema import refuse_old_schema

app = create_app()

# Commands start here too, `db upgrade` among them; a web server must not serve an old schema.
if not sys.argv[0].endswith("flask"):
    with app.app_context():
        refuse_old_schema()
