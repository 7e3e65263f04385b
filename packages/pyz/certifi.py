"""In place of certifi, whose bundle requests would unpack into a file at each start.

That needs a directory to write to, and the plugin trusts the operating system alone.
"""

import os
import ssl


def where() -> str:
    """Return the bundle of the operating system."""
    return ssl.get_default_verify_paths().cafile or os.devnull
