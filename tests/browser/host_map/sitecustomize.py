"""A map of mail servers, for tests that walk with the real names of providers: Python reads this before anything else.

`HOST_MAP` holds lines "imap.gmail.com 993 127.0.0.11 41234": that name has that address, and who connects there on the
port of the real server reaches the port on loopback. The product knows nothing of it: it looks names up, guards
addresses and checks certificates as ever.
"""

import os
import socket
from typing import Any

_LINES = [line.split() for line in os.environ.get("HOST_MAP", "").splitlines()]  # noqa: TID251  # not of the product
_ADDRESSES = {name: address for name, _, address, _ in _LINES}
_PORTS = {(address, int(port)): int(there) for _, port, address, there in _LINES}
_look_up, _connect = socket.getaddrinfo, socket.create_connection


def _mapped_look_up(host: Any, *rest: Any, **options: Any) -> Any:
    return _look_up(_ADDRESSES.get(host, host), *rest, **options)


def _mapped_connect(address: tuple[str, int], *rest: Any, **options: Any) -> socket.socket:
    there = ("127.0.0.1", _PORTS[address]) if address in _PORTS else address
    return _connect(there, *rest, **options)


for _name, _mapped in (("getaddrinfo", _mapped_look_up), ("create_connection", _mapped_connect)):
    setattr(socket, _name, _mapped)
