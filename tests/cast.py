"""The people of the tests: Ana is Operator of Acme, Ben is Admin and Mia Mail Admin there; Zoe is a stranger."""

from dataclasses import dataclass
from functools import lru_cache

from app.access import Role
from app.accounts.models import Account, User
from app.accounts.services import create_account, create_user, give_role
from app.accounts.signing_in import hash_password
from app.db import unit_of_work

PASSWORD = "correct horse battery"


@dataclass
class Cast:
    """Everybody, and where they work."""

    acme: Account
    ana: User
    ben: User
    mia: User
    zenith: Account
    zoe: User
    ida: User

    @property
    def staff(self) -> dict[Role, User]:
        """Who of Acme has which role."""
        return {Role.OPERATOR: self.ana, Role.ADMIN: self.ben, Role.MAIL_ADMIN: self.mia}


def assemble() -> Cast:
    """Everybody, in a unit of work of its own; all share `PASSWORD`."""
    with unit_of_work():
        acme = create_account("Acme", "acme", timezone="Europe/Lisbon", country="PT")
        zenith = create_account("Zenith", "zenith")
        return Cast(
            acme=acme,
            ana=_staff("ana@acme.example", "Ana Alder", acme, Role.OPERATOR),
            ben=_staff("ben@acme.example", "Ben Birch", acme, Role.ADMIN),
            mia=_staff("mia@acme.example", "Mia Maple", acme, Role.MAIL_ADMIN),
            zenith=zenith,
            zoe=_staff("zoe@zenith.example", "Zoe Zelkova", zenith, Role.OPERATOR),
            ida=create_user("ida@host.example", _password_hash(), "Ida Iris", is_instance_admin=True),
        )


def _staff(email: str, name: str, account: Account, role: Role) -> User:
    user = create_user(email, _password_hash(), name)
    give_role(account, user, role)
    return user


@lru_cache(maxsize=1)
def _password_hash() -> str:
    """One hash for everybody: computing it takes a tenth of a second."""
    return hash_password(PASSWORD)
