"""Members: what we keep of one that was seen, and how a missing one is made."""

from dataclasses import dataclass
from functools import cache

from app import clock
from app.billing.models import Customer
from app.effects import Done, Intent, Result, Step
from app.errors import Refused
from app.typed import email_key
from plugins.nexudus.client import Nexudus
from plugins.nexudus.models import Connection, SeenMember
from plugins.nexudus.payloads import Member
from plugins.nexudus.sent import NewMember


@dataclass(frozen=True, slots=True)
class Wanted:
    """A customer as a member, in our words: country as ISO code, zone as IANA name."""

    full_name: str
    email: str
    company: str
    phone: str
    address: str
    city: str
    postcode: str
    country: str
    timezone: str
    reference: str
    business_id: int
    portal_user: bool


def wanted(connection: Connection, customer: Customer) -> Wanted:
    """The member that `customer` should be; time zone and a missing country come from the location.

    `Refused` names what Nexudus demands and the customer lacks.
    """
    country = customer.country or customer.location.country
    missing = [word for word, value in (("a name", customer.full_name), ("a country", country)) if not value]
    if missing:
        raise Refused(f"The customer has no {' and no '.join(missing)}.", code="field_missing")
    return Wanted(
        full_name=customer.full_name,
        email=customer.email,
        company=customer.company,
        phone=customer.phone,
        address=customer.address,
        city=customer.city,
        postcode=customer.postcode,
        country=country,
        timezone=customer.location.timezone,
        reference=f"{connection.installation.account.slug}:{customer.id}",
        business_id=connection.business_id,
        portal_user=connection.creates_portal_users,
    )


class Ids:
    """Ids of countries and time zones over there: asked for once a turn, not once a member."""

    def __init__(self, remote: Nexudus) -> None:
        self._remote = remote
        self.country = cache(remote.country_id)
        self.zone = cache(self._zone)

    def _zone(self, iana: str, business_id: int) -> int:
        """A list that knows the zone under another name only leaves us the zone of the business itself."""
        try:
            return self._remote.zone_id(iana)
        except Refused as error:
            if error.code != "unknown_there":
                raise
            of_business = self._remote.business(business_id).zone_id
            if of_business is None:
                raise
            return of_business


def resolve(ids: Ids, wanted: Wanted) -> NewMember:
    """The same in the words and ids of Nexudus."""
    return NewMember(
        full_name=wanted.full_name,
        email=wanted.email,
        billing_email=wanted.email,
        country_id=ids.country(wanted.country),
        zone_id=ids.zone(wanted.timezone, wanted.business_id),
        business_id=wanted.business_id,
        reference=wanted.reference,
        company=wanted.company or None,
        phone=wanted.phone or None,
        address=wanted.address or None,
        city=wanted.city or None,
        postcode=wanted.postcode or None,
        create_user=wanted.portal_user,
    )


@dataclass(frozen=True, slots=True)
class Create:
    """The one step of making a member; found again by our reference, or by an email that only one member has."""

    new: NewMember
    key: str = "create"

    def call(self, remote: Nexudus, intent: Intent) -> Result:
        return {"member_id": remote.create_member(intent, self.new)}

    def look_up(self, remote: Nexudus, intent: Intent) -> Result | None:
        found = remote.members_with_reference(self.new.reference) or remote.members_with_email(self.new.email)
        if len(found) > 1:
            raise Refused(f"{len(found)} members have this email or reference now.", code="duplicate")
        return {"member_id": found[0].id} if found else None


def next_step(new: NewMember, done: Done) -> Step | None:
    """Create the member, unless that is done."""
    return None if "create" in done else Create(new)


def seen_after_creating(connection_id: int, wanted: Wanted, done: Done) -> SeenMember:
    """What we keep of a member that we made just now."""
    return SeenMember(
        connection_id=connection_id,
        member_id=int(done["create"]["member_id"]),
        email=wanted.email,
        email_key=email_key(wanted.email),
        full_name=wanted.full_name,
        location="",
        invoicing_business_id=wanted.business_id,
        active=True,
        archived=False,
        registered_at=clock.now(),
    )


def seen(connection_id: int, member: Member) -> SeenMember:
    """What we keep of a member as Nexudus shows it."""
    return SeenMember(
        connection_id=connection_id,
        member_id=member.id,
        email=member.email[:254],
        email_key=email_key(member.email)[:254],
        full_name=member.full_name[:200],
        location=member.location[:200],
        invoicing_business_id=member.invoicing_business_id,
        active=member.active,
        archived=member.archived,
        registered_at=member.registered_at,
    )
