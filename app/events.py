"""What the host announces to plugins. An event carries ids only and is heard after the commit, in a worker."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CustomerActivated:
    """A customer became active: signed up, activated by hand, or on the scheduled day."""

    account_id: int
    customer_id: int


@dataclass(frozen=True, slots=True)
class CustomerChanged:
    """A customer's contact data changed."""

    account_id: int
    customer_id: int


Event = CustomerActivated | CustomerChanged
