"""Logs in: what with, by which one scheme, the handshake of that scheme, and when not to try again.

What others may use is named here. The modules of the schemes (``gss``, ``pyspnego``, ``sspi``) are
imported only when they are chosen. No module of this package knows the network.
"""

from .choice import (
    Connection,
    Credentials,
    Login,
    advise,
    find_credentials,
    start_login,
)
from .refusals import Refusals

__all__ = [
    "Connection",
    "Credentials",
    "Login",
    "Refusals",
    "advise",
    "find_credentials",
    "start_login",
]
