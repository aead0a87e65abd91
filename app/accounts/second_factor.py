"""The second factor: one-time codes of an authenticator (RFC 6238), and recovery codes. Changes rows, never commits."""

import hashlib
import hmac
import secrets
from collections.abc import Sequence

import pyotp
import segno
import sqlalchemy as sa

from app import audit, clock
from app.accounts.models import User
from app.accounts.second_factor_models import RecoveryCode, SecondFactor
from app.db import db
from app.errors import InvalidInput
from app.vault import Place, vault

ISSUER = "SphereMail"
STEP_S = 30
DRIFT = 1  # half minutes that a phone's clock may be off
CODES = 10
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that is taken for another


def begin(user: User) -> SecondFactor:
    """A new secret that does not count yet; an earlier one that was never confirmed is replaced."""
    row = of(user)
    if row is None:
        row = SecondFactor(user_id=user.id, secret="")
        db.session.add(row)
        db.session.flush()
    elif row.confirmed_at is not None:
        raise InvalidInput("You have a second factor already. Take it away first.")
    row.secret, row.last_step = vault().seal(pyotp.random_base32(), _place(row)), 0
    audit.record("second_factor_begun", user)
    return row


def of(user: User) -> SecondFactor | None:
    """The person's authenticator, confirmed or not."""
    return db.session.scalar(sa.select(SecondFactor).where(SecondFactor.user_id == user.id))


def secret_of(row: SecondFactor) -> str:
    """The shared secret, for typing it into an authenticator."""
    return vault().open(row.secret, _place(row))


def picture_of(row: SecondFactor, email: str) -> str:
    """The secret as a QR code: SVG that an authenticator's camera reads."""
    address = pyotp.TOTP(secret_of(row)).provisioning_uri(name=email, issuer_name=ISSUER)
    return str(segno.make(address, error="m").svg_inline(scale=4, border=4, light="#fff"))


def confirm(user: User, code: str) -> list[str]:
    """From now on the factor counts; answers the recovery codes, which nobody can be shown again."""
    row = of(user)
    if row is None or row.confirmed_at is not None or not _takes(row, code):
        raise InvalidInput("That code is not the one it shows now. Is the phone's clock right?", field="code")
    row.confirmed_at = user.second_factor_since = clock.now()
    audit.record("second_factor_on", user)
    return _new_codes(user)


def accept(user: User, code: str) -> bool:
    """Whether `code` is the authenticator's, or a recovery code that was not used; it is used up by this."""
    row = db.session.scalar(sa.select(SecondFactor).where(SecondFactor.user_id == user.id).with_for_update())
    if row is not None and row.confirmed_at is not None and _takes(row, code):
        return True
    used = sa.update(RecoveryCode).where(
        RecoveryCode.user_id == user.id, RecoveryCode.code_hash == _hash(code), RecoveryCode.used_at.is_(None)
    )
    if db.session.scalar(used.values(used_at=clock.now()).returning(RecoveryCode.id)) is None:
        return False
    audit.record("recovery_code_used", user, actor=user.email, left=codes_left(user))
    return True


def renew_codes(user: User) -> list[str]:
    """Ten new recovery codes in place of the old ones."""
    audit.record("recovery_codes_renewed", user)
    return _new_codes(user)


def codes_left(user: User) -> int:
    """How many recovery codes were not used."""
    mine = (RecoveryCode.user_id == user.id, RecoveryCode.used_at.is_(None))
    return int(db.session.scalar(sa.select(sa.func.count()).where(*mine)) or 0)


def take_away(user: User) -> None:
    """The password alone signs in again."""
    db.session.execute(sa.delete(SecondFactor).where(SecondFactor.user_id == user.id))
    db.session.execute(sa.delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
    user.second_factor_since = None
    audit.record("second_factor_off", user)


def _takes(row: SecondFactor, code: str) -> bool:
    """Check a code and remember its half minute, so that it counts once."""
    totp, now = pyotp.TOTP(secret_of(row)), int(clock.now().timestamp()) // STEP_S
    typed = "".join(code.split())
    for step in range(now - DRIFT, now + DRIFT + 1):
        if step > row.last_step and hmac.compare_digest(totp.at(step * STEP_S), typed):
            row.last_step = step
            return True
    return False


def _new_codes(user: User) -> list[str]:
    codes = ["-".join(_word() for _ in range(3)) for _ in range(CODES)]
    db.session.execute(sa.delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
    db.session.add_all(_rows(user, codes))
    return codes


def _rows(user: User, codes: Sequence[str]) -> list[RecoveryCode]:
    return [RecoveryCode(user_id=user.id, code_hash=_hash(code)) for code in codes]


def _word() -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(4))


def _hash(code: str) -> str:
    plain = "".join(letter for letter in code.casefold() if letter.isalnum())
    return hashlib.sha256(plain.encode()).hexdigest()


def _place(row: SecondFactor) -> Place:
    # A person may belong to several accounts, so the secret belongs to none.
    return Place(SecondFactor.__tablename__, row.id, 0, "secret")
