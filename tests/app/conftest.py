"""The host is tested with one example plugin in place of the real ones."""

import sys
from collections.abc import Callable, Iterator

import pytest
from flask import Flask

from tests.app import example
from tests.conftest import with_tables


@pytest.fixture(scope="session")
def whole_app(build_app: Callable[..., Flask]) -> Iterator[Flask]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "plugins.example", example)
        yield from with_tables(build_app(plugins=("example",)))
