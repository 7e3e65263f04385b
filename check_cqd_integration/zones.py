"""Which zone the portal's stamps are in.

The C library takes a zone that it cannot read for UTC, without a word; stale data could then look
fresh. So nothing is left to it that it might not know.
"""

from __future__ import annotations

import os
import re
from datetime import timezone, tzinfo

from .errors import UsageError

_LOCALTIME = "/etc/localtime"
_RULE = re.compile(r"(?:[A-Za-z]{3,}|<[\w+-]{3,}>)[+-]?[0-9]", re.ASCII)
"""How the zones begin that a ``TZ`` like ``CET-1CEST`` spells out (POSIX, "Environment")."""


def named(name: str) -> tzinfo:
    """Return the zone with this IANA name; raises ValueError if this host does not know it."""
    if name == "UTC":
        return timezone.utc
    from zoneinfo import ZoneInfo  # only where a zone is named: it takes time

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(
            f"{name!r} is not a zone this host knows, like Europe/Berlin, UTC or local"
        ) from None


def local() -> tzinfo | None:
    """Return the zone of this host; None is the one that the C library knows.

    Raises UsageError if ``TZ`` or /etc/localtime is one that cannot be read.
    """
    name = os.environ.get("TZ")
    if name is None:
        if os.path.lexists(_LOCALTIME):  # without it, it is UTC, and is meant to be
            _check(_LOCALTIME)
        return None
    name = name[1:] if name.startswith(":") else name
    if name.startswith("/"):
        _check(name)
        return None
    if not name or _RULE.match(name):
        return None
    try:
        return named(name)
    except ValueError as error:
        raise UsageError(f"TZ in the environment: {error}; give --timezone") from error


def _check(path: str) -> None:
    """Raise UsageError for a file that does not hold a whole zone (TZif, RFC 8536)."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; give --timezone") from error
    if not data.startswith(b"TZif") or not data.endswith(b"\n"):
        raise UsageError(f"{path} holds no time zone; give --timezone")
