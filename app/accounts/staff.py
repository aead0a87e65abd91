"""Who works in an account: inviting, joining, changing a role, removing. Changes rows, never commits."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from app import audit, clock
from app.access import Role
from app.accounts import links, services
from app.accounts.models import Account, Invitation, Membership, User
from app.accounts.signing_in import end_sign_ins
from app.db import db
from app.errors import Conflict, Forbidden, InvalidInput, NotFound
from app.typed import email_key


def may_manage(mine: Role, theirs: Role) -> bool:
    """Operators look after everybody, Admins after Mail Admins."""
    return mine == Role.OPERATOR or (mine == Role.ADMIN and theirs == Role.MAIL_ADMIN)


def members(account: Account) -> Sequence[Membership]:
    """Everybody who works here, by name."""
    query = sa.select(Membership).join(User).options(joinedload(Membership.user), joinedload(Membership.location))
    return db.session.scalars(
        query.where(Membership.account_id == account.id).order_by(User.full_name, User.email)
    ).all()


def invited(account: Account) -> Sequence[Invitation]:
    """Invitations that can still be taken up, newest first."""
    return db.session.scalars(sa.select(Invitation).where(*_open(account)).order_by(Invitation.id.desc())).all()


def invite(account: Account, email: str, role: Role, by: Membership) -> tuple[Invitation, str]:
    """An invitation and the token of its link; an older one to the same email ends."""
    _refuse_unless(may_manage(by.role, role))
    email = services.checked_email(email)
    known = sa.select(Membership.id).join(User).where(Membership.account_id == account.id)
    if db.session.scalar(known.where(User.email_key == email_key(email))):
        raise InvalidInput(f"{email} works here already.", "email")
    older = db.session.scalars(sa.select(Invitation).where(*_open(account), Invitation.email_key == email_key(email)))
    for one in older:
        _refuse_unless(may_manage(by.role, one.role))
        one.withdrawn_at = clock.now()
    token, token_hash = links.new_token()
    invitation = Invitation(
        account_id=account.id,
        email=email,
        email_key=email_key(email),
        role=role,
        invited_by=by.user.shown_name,
        token_hash=token_hash,
        expires_at=clock.now() + links.VALID_FOR,
    )
    db.session.add(invitation)
    db.session.flush()
    audit.record("staff_invited", invitation, email=email, role=role.value)
    return invitation, token


def withdraw(account: Account, invitation_id: int, by: Membership) -> Invitation:
    """End an invitation that nobody has taken up."""
    query = sa.select(Invitation).where(*_open(account), Invitation.id == invitation_id).with_for_update()
    invitation = db.session.scalars(query).one_or_none()
    if invitation is None:
        raise NotFound("There is no such invitation.")
    _refuse_unless(may_manage(by.role, invitation.role))
    invitation.withdrawn_at = clock.now()
    audit.record("invitation_withdrawn", invitation, email=invitation.email)
    return invitation


def join(invitation: Invitation, user: User) -> Membership:
    """Take an invitation up; whoever works there already keeps their role."""
    invitation.used_at = clock.now()
    membership = services.membership_of(user, invitation.account)
    if membership is None:
        membership = services.give_role(invitation.account, user, invitation.role)
    audit.record("invitation_used", invitation, email=user.email, actor=user.email)
    return membership


def change_role(account: Account, membership_id: int, role: Role, by: Membership) -> Membership:
    """Another role for somebody; their sign-ins end at once. The last Operator stays one."""
    membership = _locked(account, membership_id)
    _refuse_unless(may_manage(by.role, membership.role) and may_manage(by.role, role))
    if membership.role == Role.OPERATOR and role != Role.OPERATOR:
        _refuse_last_operator(account, membership)
    return services.give_role(account, membership.user, role)


def tell_about(account: Account, membership_id: int, location_id: int | None, by: Membership) -> Membership:
    """An Operator is told about mail of one location from now on, or of all of them (None)."""
    membership = _locked(account, membership_id)
    _refuse_unless(may_manage(by.role, membership.role))
    if membership.role != Role.OPERATOR:
        raise Conflict("Only Operators are told about new mail.")
    location = next((one for one in account.locations if one.id == location_id), None)
    if location_id is not None and location is None:
        raise InvalidInput("Choose one of your locations.", "location")
    membership.location = location
    db.session.flush()
    audit.record("told_about", membership, email=membership.user.email, location=location.name if location else "all")
    return membership


def remove(account: Account, membership_id: int, by: Membership) -> User:
    """Somebody works here no more; their sign-ins end at once."""
    membership = _locked(account, membership_id)
    _refuse_unless(may_manage(by.role, membership.role))
    _refuse_last_operator(account, membership)
    user = membership.user
    audit.record("staff_removed", membership, email=user.email, role=membership.role.value)
    end_sign_ins(user)
    db.session.delete(membership)
    return user


def get(account: Account, membership_id: int) -> Membership:
    """Somebody who works in this account, or `NotFound`."""
    query = sa.select(Membership).where(Membership.account_id == account.id, Membership.id == membership_id)
    membership = db.session.scalars(query).one_or_none()
    if membership is None:
        raise NotFound("Nobody with that address works here.")
    return membership


def _open(account: Account) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        Invitation.account_id == account.id,
        Invitation.used_at.is_(None),
        Invitation.withdrawn_at.is_(None),
        Invitation.expires_at > clock.now(),
    )


def _locked(account: Account, membership_id: int) -> Membership:
    """The account's row is the lock: of two Operators who remove each other, one is refused."""
    db.session.execute(sa.select(Account.id).where(Account.id == account.id).with_for_update(key_share=True))
    membership = get(account, membership_id)
    db.session.refresh(membership)
    return membership


def _refuse_last_operator(account: Account, membership: Membership) -> None:
    query = sa.select(sa.func.count()).where(Membership.account_id == account.id, Membership.role == Role.OPERATOR)
    if membership.role == Role.OPERATOR and db.session.scalar(query) == 1:
        raise Conflict("The last Operator stays. Make somebody else an Operator first.")


def _refuse_unless(allowed: bool) -> None:  # noqa: FBT001  # read as "refuse unless allowed"
    if not allowed:
        raise Forbidden("Admins look after Mail Admins; everybody else is an Operator's to change.")
