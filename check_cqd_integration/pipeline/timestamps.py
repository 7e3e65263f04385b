"""One timestamp of the portal, read: text -> date and time as the portal gives them.

The forms are those of Microsoft's "Get Last Integration Data" (``01/18/2015 10:30:13``) and "Get
Integration Log" (ISO 8601), and what .NET writes for the first one under another culture: its
separators, one digit, a clock of twelve hours. Whether the month or the day comes first is never
guessed: a wrong guess could make stale data look fresh.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from ..errors import AnswerError, Said

DATE_ORDERS = ("mdy", "dmy")
"""Month or day first, in a timestamp that is not ISO."""

_OF_A_CULTURE = re.compile(
    r"(?P<first>\d{1,2})(?P<dash>[/.-])(?P<second>\d{1,2})(?P=dash)(?P<year>\d{4}) "
    r"(?P<hour>\d{1,2})(?P<colon>[:.])(?P<minute>\d\d)(?P=colon)(?P<seconds>\d\d)"
    r"(?: (?P<half>[AP])M)?",
    re.ASCII,
)
_ISO = re.compile(
    r"(?P<local>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d{1,9})?(?P<offset>Z|[+-]\d\d:[0-5]\d)?",
    re.ASCII,
)
_NOT_SET = datetime.min
"""What .NET writes for a time that nobody has set (``DateTime.MinValue``)."""


def parse_timestamp(name: str, value: Any, date_order: str = "mdy") -> datetime | None:
    """Return the moment without fraction, None if it is the one that .NET writes for "not set".

    It has a zone if the text has an offset, and else is the portal's local time. ``name`` is for
    the AnswerError that says why a value is no timestamp.
    """
    if not isinstance(value, str):
        raise AnswerError(f"{name} is {kind_of(value)}, not a timestamp")
    try:
        if match := _ISO.fullmatch(value):
            offset = (match["offset"] or "").replace("Z", "+00:00")
            moment = datetime.fromisoformat(match["local"] + offset)
        elif match := _OF_A_CULTURE.fullmatch(value):
            moment = _of_a_culture(name, match, date_order)
        else:
            raise ValueError
    except ValueError:
        example = {"mdy": "01/18/2015", "dmy": "18/01/2015"}[date_order]
        raise AnswerError(
            f"{name} is not a timestamp like {example} 10:30:13: ", Said(value)
        ) from None
    return None if moment.replace(tzinfo=None) == _NOT_SET else moment


def _of_a_culture(name: str, match: re.Match[str], date_order: str) -> datetime:
    month, day = int(match["first"]), int(match["second"])
    if date_order == "dmy":
        month, day = day, month
    if month > 12 >= day:
        other = next(order for order in DATE_ORDERS if order != date_order)
        raise AnswerError(
            f"{name} has no month {month}: ", Said(match[0]), f"; is it --date-order {other}?"
        )
    hour = int(match["hour"])
    if match["half"]:
        if not 1 <= hour <= 12:
            raise ValueError
        hour = hour % 12 + (12 if match["half"] == "P" else 0)
    return datetime(
        int(match["year"]), month, day, hour, int(match["minute"]), int(match["seconds"])
    )


def kind_of(value: Any) -> str:
    """Return what a value of JSON is, in words."""
    kinds = {dict: "an object", list: "a list", str: "a text", float: "a number", bool: "a boolean"}
    return kinds.get(type(value), "null")
