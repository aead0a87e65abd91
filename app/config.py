"""Settings, read once from the environment (prefix `SPHEREMAIL_`) and `.env`; a bad value stops the start."""

import base64
import binascii
import contextlib
import os
import re
import secrets
import tempfile
from collections.abc import Callable
from email.utils import parseaddr
from functools import cached_property
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

CommaList = Annotated[tuple[str, ...], NoDecode]
SANDBOX_URL = "http://127.0.0.1:8400"
NEXUDUS_URL = "https://spaces.nexudus.com"


class BadSettings(SystemExit):
    """The environment holds a value that cannot be used; the text says which and why."""


class Settings(BaseSettings):
    """Everything the environment decides. Build it with `Settings.read()`, which turns errors into sentences."""

    model_config = SettingsConfigDict(env_prefix="SPHEREMAIL_", env_file=".env", extra="ignore", frozen=True)

    env: Literal["demo", "production"] = "demo"
    data_dir: Path = Path("var")
    database_url: str = ""
    redis_url: str = ""
    secret_key: SecretStr = SecretStr("")
    vault_keys: SecretStr = SecretStr("")
    public_url: str = ""
    trusted_proxies: int = Field(default=0, ge=0, le=5)
    smtp_url: SecretStr = SecretStr("")
    mail_from: str = "SphereMail <no-reply@localhost>"
    plugins: CommaList = ("nexudus", "mail_monitor")
    nexudus_url: str = ""
    nexudus_calls_per_minute: int = Field(default=120, ge=1)
    nexudus_writes_per_minute: int = Field(default=60, ge=1)
    nexudus_writes_per_day: int = Field(default=5000, ge=1)
    nexudus_pause_ms: int = Field(default=100, ge=0)
    stripe_url: str = "https://api.stripe.com"
    mail_private_hosts: CommaList = ()
    mail_ca_file: Path | None = None
    mail_quota_mb: int = Field(default=20 * 1024, ge=1)
    lease_s: float = Field(default=45, gt=0)
    settle_s: float = Field(default=10, ge=0)
    sweep_s: float = Field(default=5, gt=0)
    metrics_token: SecretStr = SecretStr("")
    keep_sign_ins_days: int = Field(default=30, ge=1)
    keep_tries_days: int = Field(default=2, ge=1)
    keep_strangers_days: int = Field(default=30, ge=1)
    keep_done_jobs_hours: int = Field(default=1, ge=1)
    keep_failed_jobs_days: int = Field(default=7, ge=1)
    keep_letters_days: int = Field(default=90, ge=1)
    lock_wait_s: float = Field(default=20, gt=0)
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "text"] | None = None

    @classmethod
    def read(cls, **values: object) -> Self:
        """The settings; raises `BadSettings` with one sentence per bad value."""
        try:
            return cls(**values)  # type: ignore[arg-type]  # pydantic checks each value itself
        except ValidationError as error:
            lines = [
                f"SPHEREMAIL_{'_'.join(str(part) for part in problem['loc']).upper() or 'ENV'}: {problem['msg']}"
                for problem in error.errors()
            ]
            raise BadSettings("\n".join(lines)) from error

    @field_validator("plugins", "mail_private_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("mail_ca_file", "log_format", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return value or None

    @field_validator("public_url", "nexudus_url", "stripe_url")
    @classmethod
    def _web_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in {"http", "https"} or not parts.hostname):
            raise ValueError(f"{value!r} is not a web address (http:// or https://)")
        return value.rstrip("/")

    @field_validator("smtp_url")
    @classmethod
    def _mail_server(cls, value: SecretStr) -> SecretStr:
        parts = urlsplit(value.get_secret_value())
        if value.get_secret_value() and (parts.scheme not in {"smtp", "smtps", "smtp+starttls"} or not parts.hostname):
            raise ValueError("use smtp://, smtps:// or smtp+starttls://user:password@host:port")
        if parts.scheme == "smtp" and parts.password and parts.hostname not in {"127.0.0.1", "localhost", "::1"}:
            raise ValueError("smtp:// would send the password readable; use smtps:// or smtp+starttls://")
        return value

    @field_validator("mail_from")
    @classmethod
    def _sender(cls, value: str) -> str:
        if not re.fullmatch(r"[^@\s<>]+@[^@\s<>]+", parseaddr(value)[1]):
            raise ValueError(f"{value!r} is no sender such as SphereMail <mail@spheremail.example>")
        return value

    @field_validator("database_url")
    @classmethod
    def _database(cls, value: str) -> str:
        if value and not value.startswith(("sqlite:///", "postgresql+psycopg://")):
            raise ValueError("use sqlite:///path or postgresql+psycopg://user:password@host/name")
        return value

    @field_validator("mail_private_hosts")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for part in value:
            if "/" in part:
                ip_network(part)
        return value

    @model_validator(mode="after")
    def _production_is_complete(self) -> Self:
        if self.env != "production":
            return self
        missing = [name for name in ("redis_url", "secret_key", "vault_keys") if not _plain(getattr(self, name))]
        if missing:
            names = ", ".join(f"SPHEREMAIL_{name.upper()}" for name in missing)
            raise ValueError(f"production needs {names}")
        if not self.public_url.startswith("https://"):
            raise ValueError("production needs SPHEREMAIL_PUBLIC_URL with https://: sign-in cookies travel only there")
        if urlsplit(self.nexudus_base).hostname in {"127.0.0.1", "localhost", "::1"}:
            raise ValueError("production does not use the Nexudus sandbox; set SPHEREMAIL_NEXUDUS_URL")
        return self

    @property
    def is_demo(self) -> bool:
        return self.env == "demo"

    @property
    def nexudus_base(self) -> str:
        """Base of the Nexudus API, without a slash at its end."""
        return self.nexudus_url or (SANDBOX_URL if self.is_demo else NEXUDUS_URL)

    @property
    def public_base(self) -> str:
        """Address of this host as people reach it, without a slash at its end."""
        return self.public_url or f"http://{self.host}:{self.port}"

    @property
    def database(self) -> str:
        """SQLAlchemy URL of the database."""
        return self.database_url or f"sqlite:///{(self.data_dir / 'spheremail.db').resolve()}"

    @property
    def engine_options(self) -> dict[str, Any]:
        """A connection that the server has closed is replaced unseen; a server that is silent is given up soon."""
        if self.database.startswith("sqlite"):
            return {}
        return {"pool_pre_ping": True, "connect_args": {"connect_timeout": 5}}

    @property
    def files(self) -> Path:
        """Folder of attachments and the like: what a backup takes beside the database."""
        return self.data_dir / "files"

    @property
    def logs_as_json(self) -> bool:
        return (self.log_format or ("text" if self.is_demo else "json")) == "json"

    @cached_property
    def session_key(self) -> str:
        """Key that signs cookies; in demo made once and kept in `DATA_DIR` (mode 0600)."""
        return _plain(self.secret_key) or self._kept("secret_key", lambda: secrets.token_urlsafe(48))

    @cached_property
    def encryption_keys(self) -> dict[str, bytes]:
        """Keys of the vault by id, 32 bytes each; the first one writes, all of them read."""
        text = _plain(self.vault_keys) or self._kept(
            "vault_keys", lambda: "demo:" + base64.b64encode(secrets.token_bytes(32)).decode()
        )
        keys: dict[str, bytes] = {}
        for part in text.split(","):
            name, _, encoded = part.strip().partition(":")
            try:
                key = base64.b64decode(encoded, validate=True)
            except binascii.Error as error:
                raise BadSettings("SPHEREMAIL_VAULT_KEYS: write id:base64 pairs, joined by commas") from error
            if not name or len(key) != 32:
                raise BadSettings("SPHEREMAIL_VAULT_KEYS: each key is 32 bytes, written as id:base64")
            keys[name] = key
        return keys

    def _kept(self, name: str, make: Callable[[], str]) -> str:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        path = self.data_dir / name
        if not path.exists():
            with tempfile.NamedTemporaryFile("w", dir=self.data_dir) as file:  # mode 0600
                file.write(make())
                file.flush()
                # Linking fails when the name is taken: of two processes that start together one makes the key.
                with contextlib.suppress(FileExistsError):
                    os.link(file.name, path)
        return path.read_text()


def _plain(value: SecretStr | str) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else value
