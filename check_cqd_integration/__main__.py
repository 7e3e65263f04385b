"""``python -m check_cqd_integration``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
