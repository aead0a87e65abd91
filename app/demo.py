"""The demo: an account with people in every role, and what it takes to try everything."""

import click

SIGN_INS = [
    ("Operator", "hanna@quayside.example", "quayside-operator"),
    ("Admin", "marek@quayside.example", "quayside-admin"),
    ("Mail Admin", "ines@quayside.example", "quayside-mail-admin"),
    ("Instance administrator", "root@quayside.example", "quayside-instance"),
]


@click.command()
def demo() -> None:
    """Fill an empty database with the demo account; does nothing otherwise."""
