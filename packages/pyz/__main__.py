"""What Python runs of check_cqd_integration.pyz. Any Python 3 can read this far."""

import sys

if sys.version_info < (3, 9):  # noqa: UP036
    print("CQD UNKNOWN - needs Python 3.9 or newer, this is " + sys.version.split()[0])
    sys.exit(3)

# The libraries of which new versions do not run on 3.9; the first of the path is this file.
sys.path.insert(0, sys.path[0] + ("/python3.9" if sys.version_info < (3, 10) else "/python3.10"))

from check_cqd_integration.cli import main

sys.exit(main())
