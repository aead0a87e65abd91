"""The plugin's blueprint; the route modules hang their views on it."""

from flask import Blueprint

pages = Blueprint("mail_monitor", __name__, template_folder="templates")
