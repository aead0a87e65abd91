"""An account's logo: what somebody uploads is read within limits and drawn anew; nothing of the file itself is kept."""

import hashlib
import io
import struct
import warnings
import zlib
from dataclasses import dataclass

import sqlalchemy as sa
from PIL import Image, ImageOps

from app import audit
from app.accounts.models import Account, AccountLogo
from app.db import db
from app.errors import InvalidInput

LARGEST_FILE = 2 * 1024 * 1024
MOST_PIXELS = 8_000_000  # 32 MB once unpacked
ROOM = (800, 320)  # pixels; sharp at the size in which pages and invoices show it

# https://pillow.readthedocs.io/en/stable/reference/Image.html#PIL.Image.open: no mere warning for a bomb
warnings.simplefilter("error", Image.DecompressionBombWarning)
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, IndexError, KeyError, TypeError)
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A logo ready to be stored: a PNG that we wrote, and the name of this very picture."""

    content: bytes
    version: str


def draw(uploaded: bytes) -> Drawn:
    """The picture in an uploaded PNG or JPEG, at most `ROOM` large; raises `InvalidInput` for `logo`.

    Takes up to some hundred milliseconds; call it with no transaction open.
    """
    if not uploaded:
        raise InvalidInput("Choose a file.", "logo")
    if len(uploaded) > LARGEST_FILE:
        raise InvalidInput("That file is larger than 2 MB. Save the logo smaller.", "logo")
    try:
        with Image.open(io.BytesIO(uploaded), formats=("PNG", "JPEG")) as image:
            _refuse_huge(image.width, image.height)
            content = _as_png(image)
    except _BOMBS as error:
        raise _too_many_pixels() from error
    except _BROKEN as error:
        raise InvalidInput("That is no PNG or JPEG we can read. Save the logo as one.", "logo") from error
    return Drawn(content, hashlib.sha256(content).hexdigest()[:16])


def put(account: Account, drawn: Drawn) -> None:
    """Make this the account's logo; pages ask for it under a new address from now on."""
    db.session.execute(sa.delete(AccountLogo).where(AccountLogo.account_id == account.id))
    db.session.add(AccountLogo(account_id=account.id, version=drawn.version, content=drawn.content))
    account.logo_version = drawn.version
    audit.record("logo_changed", account, version=drawn.version, bytes=len(drawn.content))


def remove(account: Account) -> None:
    """Go back to the account's letter."""
    if account.logo_version:
        db.session.execute(sa.delete(AccountLogo).where(AccountLogo.account_id == account.id))
        account.logo_version = ""
        audit.record("logo_removed", account)


def content_of(account: Account, version: str) -> bytes | None:
    """The PNG under this version, if that is the account's logo now."""
    return db.session.scalar(
        sa.select(AccountLogo.content).where(AccountLogo.account_id == account.id, AccountLogo.version == version)
    )


def _refuse_huge(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise _too_many_pixels()


def _too_many_pixels() -> InvalidInput:
    return InvalidInput(f"That picture has more than {MOST_PIXELS // 10**6} million pixels. Save it smaller.", "logo")


def _as_png(image: Image.Image) -> bytes:
    """Pixels only: profiles, comments and whatever else stood in the file stay behind."""
    image.draft("RGB", ROOM)  # lets a large JPEG be unpacked at a fraction of its size
    turned = ImageOps.exif_transpose(image).convert("RGBA")
    turned.thumbnail(ROOM)
    clean = Image.new("RGBA", turned.size)
    clean.paste(turned)
    out = io.BytesIO()
    clean.save(out, "PNG", optimize=True)
    return out.getvalue()
