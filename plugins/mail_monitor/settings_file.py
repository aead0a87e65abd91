"""What may stand in the file that `mail add` reads: keys and kinds; what the values mean is checked with the form's."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

# A number in quotes is a mistake to be told of, not to be guessed at.
_STRICT = ConfigDict(extra="forbid", strict=True)


class _ServerFile(BaseModel):
    model_config = _STRICT

    host: str = ""
    port: int = 0
    encryption: Literal["tls", "starttls", "none"] = "tls"
    user: str = ""
    password: str = ""


class _IncomingFile(_ServerFile):
    delete: Literal["never", "after_filing", "when_deleted_here"] = "never"


class _OutgoingFile(_ServerFile):
    reply_to: str = ""


class SettingsFile(BaseModel):
    """One email account, with the names of the form's fields."""

    model_config = _STRICT

    display_name: str = ""
    location: str | int | None = None  # its name or id; the first one when none is named
    email_address: str = ""
    active: bool = False
    notification_email_address: str = ""
    send_notifications: bool = False
    provider: str = ""
    interval_minutes: int = 15
    signature: str = ""
    largest_mb: int = 25
    daily_mb: int = 1024
    daily_messages: int = 20_000
    relays: list[str] = []
    results_server: str = ""
    incoming: _IncomingFile = _IncomingFile()
    outgoing: _OutgoingFile = _OutgoingFile()
