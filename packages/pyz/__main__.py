"""What Python runs of check_cqd_integration.pyz. Any Python 3 can read this far."""

import sys

if sys.version_info < (3, 9):  # noqa: UP036
    print("CQD UNKNOWN - needs Python 3.9 or newer, this is " + sys.version.split()[0])
    sys.exit(3)

from check_cqd_integration.cli import main

sys.exit(main())
