"""Who may do what: the roles, and the mark that every page carries. A page without a mark answers nobody."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeVar

View = TypeVar("View", bound=Callable[..., Any])


class Role(StrEnum):
    """What a user is in one account."""

    OPERATOR = "operator"
    ADMIN = "admin"
    MAIL_ADMIN = "mail_admin"

    @property
    def label(self) -> str:
        return {"operator": "Operator", "admin": "Admin", "mail_admin": "Mail Admin"}[self.value]


class Audience(StrEnum):
    """Pages that are not for one account's staff. The last two are of an account's portal: anybody, and its customers.

    A customer's page finds the one who is signed in as `g.customer`; a member of staff is nobody there.
    """

    PUBLIC = "public"
    SIGNED_IN = "signed_in"
    INSTANCE_ADMINS = "instance_admins"
    VISITORS = "visitors"
    CUSTOMERS = "customers"


Allowed = frozenset[Role] | Audience

STAFF: Allowed = frozenset(Role)
OFFICE: Allowed = frozenset({Role.OPERATOR, Role.ADMIN})
OPERATORS: Allowed = frozenset({Role.OPERATOR})
PUBLIC = Audience.PUBLIC
SIGNED_IN = Audience.SIGNED_IN
INSTANCE_ADMINS = Audience.INSTANCE_ADMINS
VISITORS = Audience.VISITORS
CUSTOMERS = Audience.CUSTOMERS


def allow(who: Allowed) -> Callable[[View], View]:
    """Mark a view with who may ask for it; the page guard reads the mark before the view runs."""

    def mark(view: View) -> View:
        view.allowed = who  # type: ignore[attr-defined]  # functions take attributes; mypy cannot say which
        return view

    return mark


def allowed(view: Callable[..., Any]) -> Allowed | None:
    """The mark of `view`, or None when it has none."""
    return getattr(view, "allowed", None)
