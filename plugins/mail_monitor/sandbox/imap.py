"""The IMAP side: pymap, with STARTTLS and a password for every mailbox.

https://github.com/icgood/pymap
"""

import ssl
from argparse import Namespace
from collections.abc import Iterable
from contextlib import AsyncExitStack

from pymap.backend.dict import Config, DictBackend, Login
from pymap.imap import IMAPService
from pymap.user import Passwords, UserMetadata


class SandboxConfig(Config):
    """pymap's settings, without a question to the name service for every greeting."""

    @property
    def greeting(self) -> bytes:
        return b"Mail sandbox ready"


def make_backend(host: str, port: int, tls: ssl.SSLContext) -> DictBackend:
    """A backend without users that would listen there."""
    arguments = Namespace(host=[host], port=port, passlib_cfg=None, proxy_protocol=None, inherited_sockets=None)
    config = SandboxConfig(
        arguments,
        demo_data=False,
        demo_user="",
        demo_password="",
        host=host,
        port=port,
        ssl_context=tls,
        invalid_user_sleep=0,
    )
    config.apply_context()
    return DictBackend(Login(config), config)


async def add_users(backend: DictBackend, names: Iterable[str], password: str) -> None:
    """Let these sign in."""
    hashed = await Passwords(backend.config).hash_password(password)
    for name in names:
        backend.login.users_dict[name] = UserMetadata(backend.config, name, password=hashed)


async def serve(backend: DictBackend, stack: AsyncExitStack) -> None:
    """Listen until `stack` is closed; raises `OSError` when the port is taken."""
    await IMAPService(backend, backend.config).start(stack)
