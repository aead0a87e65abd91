"""The plugin's blueprint; the route modules hang their views on it."""

from flask import Blueprint

from plugins.mail_monitor.location_times import exact_there, moment_there

pages = Blueprint("mail_monitor", __name__, template_folder="templates")
pages.add_app_template_filter(exact_there)
pages.add_app_template_filter(moment_there)
