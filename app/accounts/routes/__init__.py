"""Pages of people and accounts; importing them puts them onto the blueprint."""

from app.accounts.routes import look_pages, profile_pages, reset_pages, settings_pages, sign_in_pages, staff_pages
from app.accounts.routes.blueprint import pages

__all__ = ["look_pages", "pages", "profile_pages", "reset_pages", "settings_pages", "sign_in_pages", "staff_pages"]
