"""Pages of people and accounts; importing them puts them onto the blueprint."""

from app.accounts.routes import profile_pages, reset_pages, sign_in_pages, staff_pages
from app.accounts.routes.blueprint import pages

__all__ = ["pages", "profile_pages", "reset_pages", "sign_in_pages", "staff_pages"]
