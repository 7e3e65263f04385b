"""The portal's local time and this host's clock: timestamps -> moments in UTC.

A zone that sets its clocks back repeats an hour, and nothing in a timestamp tells which of the two
it means. So the timestamps of a stage are read together. Where they leave a choice, a success is
the earlier of its two moments and a failure the later: nothing is fresher than can be proved.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, timezone, tzinfo
from typing import NamedTuple

from ..errors import AnswerError
from ..thresholds import in_words

Moments = tuple[datetime, ...]


class Clock(NamedTuple):
    """This host's clock, and how the portal's timestamps are to be read by it."""

    now: datetime
    """UTC."""
    zone: tzinfo | None
    """The zone of the portal's timestamps; None is this host's own."""
    max_skew: int
    """How many seconds a timestamp may be ahead."""
    date_order: str = "mdy"
    """Whether the month or the day comes first in a timestamp that is not ISO."""

    def successes(self, timestamps: Sequence[datetime]) -> Moments:
        """Return the moments of the successes, newest first, each once.

        Each is the earliest that the portal's own order, newest first, allows. Raises AnswerError
        for one that is ahead by more than ``max_skew``, or beyond the ends of the calendar.
        """
        choices = [self._past_choices(each) for each in timestamps]
        read: list[datetime] = []
        for earlier, later in reversed(choices):
            read.append(earlier if not read or earlier >= read[-1] else later)
        if not _is_ascending(read):  # the order is not newest first, and proves nothing
            read = [earlier for earlier, _ in choices]
        return _newest_first(read)

    def failures(self, timestamps: Sequence[datetime]) -> Moments:
        """Return the moments of the failures, newest first, each once.

        Each is the latest that is not ahead, and that the portal's own order allows. Raises what
        ``successes`` does.
        """
        choices = [self._past_choices(each) for each in timestamps]
        read: list[datetime] = []
        for earlier, later in choices:
            read.append(later if not read or later <= read[-1] else earlier)
        if not _is_ascending(read[::-1]):
            read = [later for _, later in choices]
        return _newest_first(read)

    def start(self, timestamp: datetime, ends: Iterable[datetime]) -> datetime:
        """Return the moment at which the newest run of a stage began.

        It is the earlier one, unless a run before it ended later: ``ends`` are those of all runs
        listed. Raises what ``successes`` does.
        """
        earlier, later = self._past_choices(timestamp)
        ends_before = sorted(ends)[:-1]
        return later if ends_before and earlier < ends_before[-1] else earlier

    def to_utc(self, timestamp: datetime) -> datetime:
        """Return the latest moment of a timestamp that is not ahead, else the earliest.

        Raises AnswerError for one beyond the ends of the calendar.
        """
        return self._choices(timestamp)[1]

    def _past_choices(self, timestamp: datetime) -> tuple[datetime, datetime]:
        earlier, later = self._choices(timestamp)
        if self._is_ahead(earlier):
            raise AnswerError(
                f"the timestamp {timestamp} is {in_words(self._ahead(earlier))} ahead of this "
                f"host's clock; is --timezone the portal's zone, and are both clocks right?"
            )
        return earlier, later

    def _choices(self, timestamp: datetime) -> tuple[datetime, datetime]:
        """Return the earliest and the latest moment that a timestamp may mean, none ahead."""
        zone = timestamp.tzinfo or self.zone
        try:
            earlier, later = sorted(
                timestamp.replace(tzinfo=zone, fold=fold).astimezone(timezone.utc)
                for fold in (0, 1)
            )
            earlier.astimezone(self.zone)  # in which it is told, also if it has an offset
        except (OverflowError, ValueError, OSError) as error:
            raise AnswerError(
                f"the timestamp {timestamp} is beyond the ends of the calendar"
            ) from error
        return earlier, earlier if self._is_ahead(later) else later

    def _is_ahead(self, moment: datetime) -> bool:
        return self._ahead(moment) > self.max_skew

    def _ahead(self, moment: datetime) -> int:
        return (moment - self.now) // timedelta(seconds=1)


def _newest_first(moments: Iterable[datetime]) -> Moments:
    return tuple(sorted(set(moments), reverse=True))


def _is_ascending(moments: Sequence[datetime]) -> bool:
    return all(older <= newer for older, newer in zip(moments, moments[1:]))
