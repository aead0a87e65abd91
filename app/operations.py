"""Commands for whoever looks after the machine: backup, restore, and new keys for the vault."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from app import backups, rotation
from app.command import answers


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@answers
def backup(file: Path) -> dict[str, Any]:
    """Write the database and the stored files into one archive, while everything goes on. Keys are not in it."""
    return asdict(backups.back_up(file))


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@answers
def restore(file: Path) -> dict[str, Any]:
    """Bring an archive back into an empty database. Stop web, workers and sweep before."""
    return asdict(backups.restore(file))


@click.group()
def vault() -> None:
    """The vault: secrets sealed with the keys of SPHEREMAIL_VAULT_KEYS."""


@vault.command()
@answers
def rotate() -> dict[str, Any]:
    """Seal every stored secret anew with the first key. May be stopped at any time and run again."""
    return {"rows": rotation.rotate()}
