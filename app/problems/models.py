"""NoticeChoice: which mails about an account's work one person does not want."""

from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, choice


class Notice(StrEnum):
    """What Operators are told by mail unless they say otherwise."""

    EXPORT = "export"
    STUCK = "stuck"

    @property
    def label(self) -> str:
        return {
            "export": "After each export: what was handed over, and what was not",
            "stuck": "When a connection or a mailbox needs a person, and when it works again",
        }[self.value]


class NoticeChoice(Base):
    """One person does not want one kind of mail of one account. No row: they get it."""

    __tablename__ = "notice_choice"
    __table_args__ = (sa.UniqueConstraint("membership_id", "notice"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    membership_id: Mapped[int] = mapped_column(sa.ForeignKey("membership.id", ondelete="CASCADE"))
    notice: Mapped[Notice] = mapped_column(choice(Notice))
