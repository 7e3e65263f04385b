"""The portal's own log, read: bytes -> entries, and those of them that are worth showing.

The format is the one of Microsoft's "Get Integration Log", the only place where the reason of a
failure can be read. It names no categories; an entry is taken for one of a stage if its words are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from ..errors import AnswerError
from .clock import Clock
from .stages import OVERDUE, Stage
from .status import field, load
from .timestamps import parse_timestamp

_WORDS = {"integration": re.compile("integrat|archiv", re.I), "cube": re.compile("cube", re.I)}
_BEFORE = timedelta(minutes=1)
"""How long before a failure its reason may have been logged, if the run's start is not known."""


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

    def told(self, tell: Callable[[str], str]) -> Entry:
        """Return the same with what may be told of its words."""
        return Entry(self.moment, tell(self.category), tell(self.description))


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
    return tuple(sorted(filter(None, entries), key=lambda entry: entry.moment, reverse=True))


def trouble_began(stage: Stage) -> datetime | None:
    """Return the moment from which on the log may tell why a stage is in trouble.

    That is the start of the run of its newest failure or, if that is not known, a minute before
    the failure. None if no failure belongs to the present trouble: one that a success has followed
    does so until it is ``OVERDUE`` seconds old.
    """
    if stage.last_failure is None or (not stage.streak and stage.last_failure > OVERDUE):
        return None
    return stage.failed_run_start or stage.failures[0] - _BEFORE


def select_entries(
    troubled: Mapping[str, Stage], entries: tuple[Entry, ...], count: int
) -> tuple[Entry, ...]:
    """Return at most so many entries for each of these stages, newest first."""
    chosen = {
        number
        for name, stage in troubled.items()
        for number in _for_stage(name, trouble_began(stage), entries)[:count]
    }
    return tuple(entry for number, entry in enumerate(entries) if number in chosen)


def _for_stage(name: str, began: datetime | None, entries: tuple[Entry, ...]) -> list[int]:
    """Return the places of the entries for one stage, best first.

    They are those since a moment from the first on or, if there are none, all from the newest on.
    Those that speak of the other stage come last: they may be of use all the same, as the words of
    an entry are all that is known of whose it is.
    """
    places = [
        number
        for number, entry in enumerate(entries)
        if began is not None and entry.moment >= began
    ][::-1] or list(range(len(entries)))
    return sorted(places, key=lambda number: entries[number].stage not in (None, name))


def _entry(number: int, item: Any, clock: Clock) -> Entry | None:
    """Return an entry; None for one whose time was never set."""
    if not isinstance(item, dict):
        raise AnswerError(f"entry {number} is not an object")
    time = parse_timestamp("LogTime", field(item, "LogTime"), clock.date_order)
    category, description = _text(item, "LogCategory"), _text(item, "LogDescription")
    return Entry(clock.to_utc(time), category, description) if time else None


def _text(item: dict[str, Any], key: str) -> str:
    value = field(item, key)
    return " ".join(value.split()) if isinstance(value, str) else ""
