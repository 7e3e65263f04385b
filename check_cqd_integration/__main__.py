"""``python -m check_cqd_integration``."""

import contextlib
import os
import sys

with contextlib.suppress(OSError):  # there may be no current directory any more
    if sys.path[0] == os.getcwd():
        del sys.path[0]  # -m puts it there, and anybody may have left a requests.py in it

from .cli import main

sys.exit(main())
