"""Installation: one plugin switched on for one account."""

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.accounts.models import Account
from app.db import Base, choice


class InstallationState(StrEnum):
    OFF = "off"
    ON = "on"
    CONNECTED = "connected"
    ATTENTION = "attention"


class Installation(Base):
    """One plugin in one account, on or off, with its state.

    "On" without a connection does nothing and leaves default billing alone.
    """

    __tablename__ = "installation"
    __table_args__ = (sa.UniqueConstraint("account_id", "plugin"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    plugin: Mapped[str] = mapped_column(sa.String(40))
    state: Mapped[InstallationState] = mapped_column(choice(InstallationState), default=InstallationState.OFF)
    # What a person must do, when the state is "attention".
    problem: Mapped[str] = mapped_column(sa.String(300), default="")
    switched_on_at: Mapped[datetime | None]
    # From here on a plugin that bills takes over; older invoices stay with the host's own billing.
    cutover_at: Mapped[datetime | None]

    account: Mapped[Account] = relationship()

    @property
    def is_on(self) -> bool:
        return self.state != InstallationState.OFF

    @property
    def works(self) -> bool:
        """Connected, and nothing stands in the way."""
        return self.state == InstallationState.CONNECTED
