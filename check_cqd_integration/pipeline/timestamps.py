"""One timestamp of the portal, read: text -> the portal's local time.

The forms are those of Microsoft's "Get Last Integration Data" (``01/18/2015 10:30:13``) and "Get
Integration Log" (ISO 8601 with a fraction). Neither names a time zone.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from ..errors import AnswerError

_DOCUMENTED_TIMESTAMP = re.compile(
    r"(?P<month>\d\d)/(?P<day>\d\d)/(?P<year>\d{4}) "
    r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)",
    re.ASCII,
)
_ISO_TIMESTAMP = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)T"
    r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)(?:\.\d{1,9})?",
    re.ASCII,
)
_UNITS = ("year", "month", "day", "hour", "minute", "second")


def parse_timestamp(name: str, value: Any) -> datetime:
    """Return the portal's local time, without fraction; raises AnswerError for no timestamp."""
    if not isinstance(value, str):
        raise AnswerError(f"{name} is {kind_of(value)}, not a timestamp")
    match = _DOCUMENTED_TIMESTAMP.fullmatch(value) or _ISO_TIMESTAMP.fullmatch(value)
    try:
        if match:
            year, month, day, hour, minute, second = (int(match[unit]) for unit in _UNITS)
            return datetime(year, month, day, hour, minute, second)
    except ValueError:
        pass
    raise AnswerError(f"{name} is not a timestamp like 01/18/2015 10:30:13: {quoted(value)}")


def kind_of(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "a text", float: "a number", bool: "a boolean"}
    return kinds.get(type(value), "null")


def quoted(text: str) -> str:
    return f"'{text[:40]}{'...' if len(text) > 40 else ''}'"
