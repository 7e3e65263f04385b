"""``python -m check_cqd_integration``."""

import sys

from .cli import main

sys.exit(main())
