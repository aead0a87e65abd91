"""What the host announces to plugins. An event carries ids only and is heard after the commit, in a worker."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CustomerActivated:
    """A customer became active: signed up, activated by hand, or on the scheduled day."""

    account_id: int
    customer_id: int

    @property
    def about(self) -> int:
        return self.customer_id


@dataclass(frozen=True, slots=True)
class CustomerChanged:
    """A customer's contact data changed."""

    account_id: int
    customer_id: int

    @property
    def about(self) -> int:
        return self.customer_id


@dataclass(frozen=True, slots=True)
class MailSent:
    """The host sent a mail in the account's name; to a customer of it, or with None to somebody else."""

    account_id: int
    outgoing_mail_id: int
    customer_id: int | None

    @property
    def about(self) -> int:
        return self.outgoing_mail_id


# A plugin's job is rung with the id of its installation and `about`, the id of the row that the event is about.
Event = CustomerActivated | CustomerChanged | MailSent
