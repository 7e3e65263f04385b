"""Durations as people write them, and Nagios ranges of them.

Seconds are whole numbers everywhere: that is the portal's own resolution. Ranges follow the
Monitoring Plugins development guidelines, "Threshold and Ranges".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple, cast

from nagiosplugin import Range

_UNITS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile("".join(rf"(?:(?P<{unit}>[0-9]{{1,12}}){unit})?" for unit in _UNITS))
_NUMBER = re.compile("[0-9]{1,12}")
_INFINITY = float("inf")


class Limits(NamedTuple):
    """Two ranges; the empty one is no limit."""

    warning: Range
    critical: Range


NO_LIMITS = Limits(Range(""), Range(""))


class WrittenRange(Range):
    """A Range that knows how it was written: ``@0:5m`` and ``@5m`` are the same to nagiosplugin."""

    has_start: bool
    """Whether its start was written."""

    def __new__(cls, text: str, has_start: bool) -> WrittenRange:
        """Return the range that nagiosplugin reads in a text of plain numbers."""
        # Not by way of Range.__new__, which before nagiosplugin 1.4 knows no subclass.
        written: WrittenRange = tuple.__new__(cls, cast("tuple[Any, ...]", Range(text)))  # type: ignore[type-var]
        written.has_start = has_start
        return written


def parse_duration(text: str) -> int:
    """Return the seconds of ``90``, ``90s``, ``30m``, ``1h30m``, ``2d`` or ``1w``.

    Raises ValueError, naming the accepted form, for anything else.
    """
    if _NUMBER.fullmatch(text):
        return int(text)
    match = _DURATION.fullmatch(text)
    if not match or not text:
        raise ValueError(f"{text!r} is not a duration such as 90, 90s, 30m, 1h30m, 2d or 1w")
    return sum(int(match[unit] or 0) * seconds for unit, seconds in _UNITS.items())


def parse_count(text: str) -> int:
    """Return a whole number that is not negative; raises ValueError for anything else."""
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is not a whole number such as 0 or 2")
    return int(text)


def parse_range(text: str, end: Callable[[str], int] = parse_duration) -> Range:
    """Return the Nagios range ``[@][START:][END]``, each end read by ``end``.

    ``~`` as START means no lower bound, a missing END after the colon no upper one. Raises
    ValueError for a missing end elsewhere, an unreadable one, and a START greater than the END.
    """
    inside = text.startswith("@")
    start, colon, stop = text[inside:].rpartition(":")
    if not (stop or colon) or (colon and not start):
        raise ValueError(f"{text!r} is not a range such as 30m, 30m:, 10m:20m, ~:1h or @10m:20m")
    low = "~" if start == "~" else end(start) if colon else 0
    high = end(stop) if stop else ""
    return WrittenRange(f"{'@' if inside else ''}{low}:{high}", bool(colon))


def in_words(seconds: int) -> str:
    """Return ``2h 14m`` for 8040: the two largest units, rounded down."""
    return " ".join(_parts(seconds)[:2])


def compact(seconds: int) -> str:
    """Return ``2h14m`` for 8040: all units, as ``parse_duration`` reads them."""
    return "".join(_parts(seconds))


def _parts(seconds: int) -> list[str]:
    parts = []
    for unit in ("d", "h", "m", "s"):
        count, seconds = divmod(seconds, _UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return parts or ["0s"]


def format_range(limit: Range, end: Callable[[int], str] = compact) -> str:
    """Return a range as ``parse_range`` reads it."""
    start = "~" if limit.start == -_INFINITY else end(int(limit.start))
    stop = "" if limit.end == _INFINITY else end(int(limit.end))
    start_is_told = limit.start != 0 or not stop
    return f"{'@' if limit.invert else ''}{f'{start}:' if start_is_told else ''}{stop}"


def limit_in_words(limit: Range, end: Callable[[int], str] = compact) -> str:
    """Return how a violated range reads in an alert: in words if it has one bound only.

    Otherwise it is told in the form in which it was written: ``within`` says nothing of a count.
    """
    if limit.invert and limit.start == 0 and getattr(limit, "has_start", False):
        return f"limit @0:{'' if limit.end == _INFINITY else end(int(limit.end))}"
    if limit.invert or (limit.start > 0 and (limit.end != _INFINITY or end is str)):
        return f"limit {format_range(limit, end)}"
    if limit.start > 0:
        return f"within {end(int(limit.start))}"
    return f"limit {end(int(limit.end))}"


def is_looser(warning: Range, critical: Range) -> bool:
    """Tell whether some value would be critical without being a warning.

    Values are whole numbers from 0 on. What holds of the first one behind an end holds up to the
    next end, so looking at 0, every end and the value behind it is exact.
    """
    ends = {bound for limit in (warning, critical) for bound in (limit.start, limit.end)}
    finite = {int(bound) for bound in ends if abs(bound) != _INFINITY} | {0}
    telling = finite | {bound + 1 for bound in finite}
    return any(warning.match(value) and not critical.match(value) for value in telling)


def comes_before(warning: Range, critical: Range) -> bool:
    """Tell whether some value would be a warning without being critical."""
    return is_looser(critical, warning)
