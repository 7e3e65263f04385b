"""Which login is begun, or why none is."""

from __future__ import annotations

from check_cqd_integration.auth import Connection, Credentials, start_login
from check_cqd_integration.errors import LoginError, UsageError


def chosen(credentials: Credentials, *offered: str) -> object:
    """Return the login that is begun, or the error."""
    connection = Connection("cqd.example.com", is_encrypted=True, certificate=None)
    try:
        return start_login(credentials, offered, connection)
    except (LoginError, UsageError) as error:
        return str(error)
