"""Which zone the portal's timestamps are in.

The C library takes a zone that it cannot read for UTC, without a word; stale data could then look
fresh. So nothing is left to it that it might not know.
"""

from __future__ import annotations

import os
import re
import struct
from datetime import timezone, tzinfo

from ..errors import UsageError, words_of

_IS_WINDOWS = os.name == "nt"
_LOCALTIME = "/etc/localtime"
_NAME, _PARTS = r"(?:[A-Za-z]{3,}|<[\w+-]{3,}>)", "(?::[0-5][0-9]){0,2}"
_OFFSET = f"[+-]?(?:2[0-3]|[01]?[0-9]){_PARTS}"
_DAY = r"(?:M(?:1[0-2]|0?[1-9])\.[1-5]\.[0-6]|(?:J(?!0))?(?:36[0-5]|3[0-5][0-9]|[12]?[0-9]{1,2}))"
_CHANGE = f",{_DAY}(?:/[+-]?(?:16[0-7]|1[0-5][0-9]|[0-9]{{1,2}}){_PARTS})?"
_RULE = re.compile(f"{_NAME}{_OFFSET}(?:{_NAME}(?:{_OFFSET})?(?:{_CHANGE}{_CHANGE})?)?", re.ASCII)
"""How the zones read that a ``TZ`` like ``CET-1CEST`` spells out (POSIX, "Environment").

The C library leaves out, as silently, what is beyond the bounds of a number.
"""
_OF_WINDOWS = re.compile(r".+ Time\b.*|UTC[+-]\d\d", re.ASCII)
"""How the names read that ``tzutil /g`` prints, such as ``W. Europe Standard Time``."""
_LARGEST = 1024 * 1024
"""Bytes of a file that may hold a zone; real ones take 4 KiB."""


def named(name: str) -> tzinfo:
    """Return the zone with this IANA name, or with this name of Windows'.

    Raises ValueError if this host does not know it.
    """
    try:
        return _of_iana(name)
    except ValueError:
        if not _OF_WINDOWS.fullmatch(name):
            raise
        from tzlocal.windows_tz import win_tz  # CLDR's table; hardly any check needs it

        if name not in win_tz:
            raise
        return _of_iana(win_tz[name])


def _of_iana(name: str) -> tzinfo:
    if name == "UTC":
        return timezone.utc
    import zoneinfo  # only where a zone is named: it takes time

    try:
        # Python reads a file that was cut for ever, or takes what is left of it for the zone.
        paths = (os.path.join(folder, name) for folder in zoneinfo.TZPATH)
        if all(map(_is_zone, filter(os.path.isfile, paths))):
            return zoneinfo.ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        pass
    raise ValueError(f"{name!r} is not a zone this host knows, like Europe/Berlin, UTC or local")


def local() -> tzinfo | None:
    """Return the zone of this host; None is the one that the C library knows.

    That of Windows reads a rule in ``TZ`` in its own way, and knows no change of an earlier year:
    nothing is left to it. Raises UsageError if ``TZ``, /etc/localtime or Windows' zone is one that
    cannot be read.
    """
    name = os.environ.get("TZ")
    if _IS_WINDOWS:
        return _of_environment(name.removeprefix(":")) if name else _of_this_windows()
    if name is None:
        if os.path.lexists(_LOCALTIME):  # without it, it is UTC, and is meant to be
            _check(_LOCALTIME)
        return None
    name = name.removeprefix(":")
    if name.startswith("/"):
        _check(name)
        return None
    if not name or _RULE.fullmatch(name):
        return None
    return _of_environment(name)


def _of_environment(name: str) -> tzinfo:
    try:
        return _of_iana(name)
    except ValueError as error:
        raise UsageError(f"TZ in the environment: {error}; give --timezone") from error


def _of_this_windows() -> tzinfo:
    import tzlocal  # it takes time

    try:
        return _of_iana(tzlocal.get_localzone_name())
    except (LookupError, ValueError, OSError) as error:
        raise UsageError("the zone of this Windows is not known; give --timezone") from error


def _check(path: str) -> None:
    """Raise UsageError for a file that does not hold a whole zone."""
    try:
        is_zone = _is_zone(path)
    except OSError as error:
        raise UsageError(f"{path}: {words_of(error)}; give --timezone") from error
    if not is_zone:
        raise UsageError(f"{path} holds no time zone; give --timezone")


def _is_zone(path: str) -> bool:
    """Tell whether a file has both blocks and the footer of a zone (TZif, RFC 8536, section 3)."""
    if os.path.exists(path) and not os.path.isfile(path):
        return False  # reading a pipe could take for ever
    with open(path, "rb") as file:
        data = file.read(_LARGEST)
    begin = 0
    for size in (4, 8):
        head = data[begin : begin + 44]
        if len(head) < 44 or not head.startswith(b"TZif"):
            return False
        utc, standard, leaps, times, types, letters = struct.unpack(">6L", head[20:])
        begin += 44 + times * (size + 1) + types * 6 + letters + leaps * (size + 4) + standard + utc
    footer = re.fullmatch(r"\n(.*)\n", data[begin:].decode("latin"))
    # For the time after the last change that is listed; it may be empty.
    return footer is not None and (not footer[1] or bool(_RULE.fullmatch(footer[1])))
