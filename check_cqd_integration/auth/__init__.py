"""Logs in: what with, by which one scheme, and the handshake of that scheme.

What others may use is named here. The modules of the schemes (``gss``, ``pyspnego``) are imported
only when they are chosen. No module of this package knows the network.
"""

from .choice import Connection, Credentials, Login, read_password, start_login

__all__ = ["Connection", "Credentials", "Login", "read_password", "start_login"]
