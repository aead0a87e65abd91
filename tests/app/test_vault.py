"""Secrets at rest open only where they were sealed, under any key that is still known."""

import pytest

from app.errors import SignInNeeded
from app.vault import Place, Vault

OLD, NEW = b"o" * 32, b"n" * 32
HERE = Place("nexudus_connection", 7, 3, "access_token")


def test_a_secret_comes_back_and_cannot_be_read_in_between() -> None:
    vault = Vault({"a": OLD})
    sealed = vault.seal("s3cret-token", HERE)
    assert "s3cret" not in sealed
    assert vault.open(sealed, HERE) == "s3cret-token"


def test_the_same_secret_looks_different_each_time() -> None:
    vault = Vault({"a": OLD})
    assert vault.seal("same", HERE) != vault.seal("same", HERE)


@pytest.mark.parametrize(
    "elsewhere",
    [
        Place("nexudus_connection", 8, 3, "access_token"),
        Place("nexudus_connection", 7, 4, "access_token"),
        Place("nexudus_connection", 7, 3, "refresh_token"),
        Place("mail_monitor_email_account", 7, 3, "access_token"),
    ],
)
def test_a_secret_copied_to_another_row_account_field_or_table_does_not_open(elsewhere: Place) -> None:
    vault = Vault({"a": OLD})
    with pytest.raises(SignInNeeded) as refused:
        vault.open(vault.seal("secret", HERE), elsewhere)
    assert refused.value.code == "key_lost"


def test_the_first_key_seals_and_every_key_opens() -> None:
    sealed_before = Vault({"a": OLD}).seal("secret", HERE)
    rotated = Vault({"b": NEW, "a": OLD})
    assert rotated.open(sealed_before, HERE) == "secret"
    assert not rotated.is_current(sealed_before)
    assert rotated.is_current(rotated.seal("secret", HERE))


def test_a_lost_key_is_told_as_a_reason_to_sign_in_again() -> None:
    sealed = Vault({"a": OLD}).seal("secret", HERE)
    with pytest.raises(SignInNeeded, match="Sign in again"):
        Vault({"b": NEW}).open(sealed, HERE)
