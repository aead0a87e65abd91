"""What wsgi.py builds, on the clock of a test."""

from app import clock
from tests.deployment.moved_clock import follow

follow(clock)

from wsgi import app  # noqa: E402, F401  # the clock first; gunicorn and flask look for it here
