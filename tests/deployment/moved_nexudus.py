"""The Nexudus sandbox on the clock of a test; its tokens run out, and its days pass, as the product's do."""

import sys

from plugins.nexudus.sandbox import clock
from plugins.nexudus.sandbox.__main__ import main
from tests.deployment.moved_clock import follow

if __name__ == "__main__":
    follow(clock)
    sys.exit(main())
