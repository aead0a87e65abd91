"""Signed addresses that are mailed to customers: to confirm a payment, and to leave a card. No sign-in is needed."""

from flask import current_app
from itsdangerous import BadSignature, URLSafeTimedSerializer

from app.accounts.models import Account
from app.addresses import public_url
from app.errors import NotFound

CONFIRM, CARD = "confirm-payment", "leave-card"
GOOD_FOR_S = {CONFIRM: 4 * 24 * 3600, CARD: 30 * 24 * 3600}


def address(account: Account, endpoint: str, what: str, row_id: int) -> str:
    """The whole address of a page of the portal that is about one row."""
    return public_url(endpoint, account_slug=account.slug, token=token(account, what, row_id))


def token(account: Account, what: str, row_id: int) -> str:
    """The same without the page, for an address of our own."""
    return str(_signer(what).dumps([account.id, row_id]))


def opened(account: Account, what: str, signed: str) -> int:
    """The row that a token is about; `NotFound` when it is not ours, not for this account, or too old."""
    try:
        account_id, row_id = _signer(what).loads(signed, max_age=GOOD_FOR_S[what])
    except (BadSignature, ValueError, TypeError) as error:
        raise NotFound("This link has expired. Ask for a new one.") from error
    if account_id != account.id:
        raise NotFound
    return int(row_id)


def _signer(what: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(current_app.config["SETTINGS"].session_key, salt=f"payments.{what}")
