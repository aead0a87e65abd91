"""Pages of the gateway: settings, what staff does with cards and charges, what customers see, and the webhook."""

from app.payments.routes import public_pages, settings_pages, staff_pages
from app.payments.routes import test_pages as pages_of_the_test_gateway
from app.payments.routes.blueprint import pages
from app.payments.routes.webhook import hooks

__all__ = ["hooks", "pages", "pages_of_the_test_gateway", "public_pages", "settings_pages", "staff_pages"]
