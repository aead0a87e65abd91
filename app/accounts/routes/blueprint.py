"""The blueprint of people and accounts."""

from flask import Blueprint

pages = Blueprint("accounts", __name__)
