"""The portal's own log, read: bytes -> entries, and those of them that are worth showing.

The format is the one of Microsoft's "Get Integration Log", the only place where the reason of a
failure can be read. It names no categories; an entry is taken for one of a stage if its words are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from ..errors import AnswerError
from .stages import OVERDUE, Clock, Stage
from .status import field, load
from .timestamps import parse_timestamp

_WORDS = {"integration": re.compile("integrat|archiv", re.I), "cube": re.compile("cube", re.I)}


class Entry(NamedTuple):
    """One entry of the log."""

    moment: datetime
    """UTC, to the second."""
    category: str
    description: str

    @property
    def stage(self) -> str | None:
        """The stage that alone is spoken of; None if that cannot be told."""
        text = f"{self.category} {self.description}"
        spoken_of = [stage for stage, words in _WORDS.items() if words.search(text)]
        return spoken_of[0] if len(spoken_of) == 1 else None


class Excerpt(NamedTuple):
    """The entries that are shown, newest first, or the reason why there are none."""

    entries: tuple[Entry, ...] = ()
    problem: str | None = None


def parse_log(body: bytes, clock: Clock) -> tuple[Entry, ...]:
    """Return the entries, newest first; raises AnswerError, naming the field, for anything else."""
    listed = load(body)
    if not isinstance(listed, list):
        raise AnswerError("the answer is not a list of entries")
    entries = (_entry(number, item, clock) for number, item in enumerate(listed))
    return tuple(sorted(entries, key=lambda entry: entry.moment, reverse=True))


def present_failure(stages: Iterable[Stage]) -> datetime | None:
    """Return the newest failure that belongs to the present trouble of these stages, if one does.

    One that a success has followed does so until it is ``OVERDUE`` seconds old.
    """
    failures = [
        stage.failures[0]
        for stage in stages
        if stage.last_failure is not None and (stage.streak or stage.last_failure <= OVERDUE)
    ]
    return max(failures, default=None)


def select_entries(
    trouble: datetime | None, entries: tuple[Entry, ...], count: int
) -> tuple[Entry, ...]:
    """Return the first entries since a moment or, if there are none, the newest; newest first."""
    since = tuple(entry for entry in entries if trouble is not None and entry.moment >= trouble)
    return since[-count:] if since else entries[:count]


def _entry(number: int, item: Any, clock: Clock) -> Entry:
    if not isinstance(item, dict):
        raise AnswerError(f"entry {number} is not an object")
    moment = clock.to_utc(parse_timestamp("LogTime", field(item, "LogTime")))
    return Entry(moment, _text(item, "LogCategory"), _text(item, "LogDescription"))


def _text(item: dict[str, Any], key: str) -> str:
    value = field(item, key)
    return " ".join(value.split()) if isinstance(value, str) else ""
