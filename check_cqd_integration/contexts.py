"""How each metric is graded and told: a ``Measure`` makes a ``Finding`` of it.

What differs between the measures is one function each, from the value of the metric to a
``Reading``: the number that is graded, and the words for it. A measure belongs to one subject: a
stage, the data, the clock or the portal. Its limits are Nagios ranges, and inside is fine.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Flag, auto
from typing import Any, NamedTuple

from nagiosplugin import (
    Context,
    Critical,
    Metric,
    Ok,
    Performance,
    Range,
    Resource,
    Result,
    Unknown,
    Warn,
)
from nagiosplugin.state import ServiceState

from .errors import UnreachableError
from .pipeline import DataAge, Stage, StageAge
from .thresholds import NO_LIMITS, Limits, compact, format_range, in_words, limit_in_words

LISTED = 5
"""How many timestamps of a kind the portal lists; there may have been more."""


class Told(Flag):
    """Where something is told that is no problem; ``Told(0)`` is nowhere."""

    OK_LINE = auto()
    OTHER_ALERT = auto()
    """An alert, but its subject is fine."""
    OWN_ALERT = auto()
    """An alert on its subject, which needs it to be understood."""
    ANY_ALERT = OTHER_ALERT | OWN_ALERT
    EVERYWHERE = OK_LINE | ANY_ALERT


class Reading(NamedTuple):
    """What the value of a metric says."""

    graded: int | None
    """The number that is compared with the limits; None if there is none to compare."""
    measured: int | str | None
    """The number that goes into the performance data; None if nothing does."""
    text: str
    brief: str
    """The same in as few words as can be understood."""
    told: Told = Told(0)


class Finding(Result):
    """A Result, which is all that nagiosplugin takes, with all that Summary needs to tell it."""

    subject: str
    """What it is about; empty for an error that stands in for everything."""
    texts: tuple[str, str, str]
    """Its words with the limit that was broken; in short; in short without the limit."""
    told: Told
    limits: Limits

    def __new__(
        cls,
        state: ServiceState,
        reading: Reading,
        subject: str = "",
        limits: Limits = NO_LIMITS,
        broken: str | None = None,
    ) -> Finding:
        """Return a finding; ``broken`` is the limit that was broken, in words."""
        finding = tuple.__new__(cls, (state, broken, None))
        finding.subject, finding.limits, finding.told = subject, limits, reading.told
        text, brief = reading.text, reading.brief
        if broken:
            text, brief = f"{text} ({broken})", f"{brief} ({broken.replace('limit ', '')})"
        finding.texts = (text, brief, reading.brief)
        return finding


class Measure(Context):
    """A number that is measured of a subject; ``read`` is one of the functions below.

    ``not_known`` is the state if there is no number to compare, and ``end`` writes an end of a
    broken limit in words.
    """

    def __init__(
        self,
        name: str,
        subject: str,
        read: Callable[[Any], Reading],
        limits: Limits = NO_LIMITS,
        not_known: ServiceState = Ok,
        end: Callable[[int], str] = compact,
    ) -> None:
        super().__init__(name)
        self._subject = subject
        self._read = read
        self._limits = limits
        self._not_known = not_known
        self._end = end

    def evaluate(self, metric: Metric, resource: Resource) -> Finding:
        """Grade the value."""
        reading, state, broken = self._read(metric.value), Ok, None
        if reading.graded is None:
            state = self._not_known
        else:
            for worse, limit in (Warn, self._limits.warning), (Critical, self._limits.critical):
                if not limit.match(reading.graded):
                    state, broken = worse, limit_in_words(limit, self._end)
        return Finding(state, reading, self._subject, self._limits, broken)

    def performance(self, metric: Metric, resource: Resource) -> Performance | None:
        """Return the value with its limits, or None if the value is not known."""
        value = self._read(metric.value).measured
        if value is None:
            return None
        warning, critical = map(_plain, self._limits)
        return Performance(metric.name, value, metric.uom, warning, critical, metric.min)


class Trouble(Context):
    """The error that stands in for all metrics when the portal cannot be graded."""

    def __init__(self, name: str, unreachable: ServiceState) -> None:
        super().__init__(name)
        self._unreachable = unreachable

    def evaluate(self, metric: Metric, resource: Resource) -> Finding:
        is_unreachable = isinstance(metric.value, UnreachableError)
        text = str(metric.value)
        reading = Reading(None, None, text, text, Told.EVERYWHERE)
        return Finding(self._unreachable if is_unreachable else Unknown, reading)


def _plain(limit: Range) -> str:
    """Return a range in plain numbers; nagiosplugin's own form of ``@0:`` would be a bare ``@``."""
    return "" if limit == Range("") else format_range(limit, str)


# --- one function for each measure ----------------------------------------------------------------


def age(seen: StageAge, grace: int) -> Reading:
    """Read the age of a stage.

    While a run younger than ``grace`` seconds is in progress, it is graded as it was at its start.
    """
    if seen.now is None:
        return Reading(None, None, "no success listed", "no success", Told.EVERYWHERE)
    is_in_grace = seen.running is not None and seen.running < grace
    graded, words = seen.at_start if is_in_grace else seen.now, in_words(seen.now)
    return Reading(graded, seen.now, f"last success {words} ago", f"age {words}", Told.EVERYWHERE)


def streak(stage: Stage) -> Reading:
    """Read how many failures of a stage are newer than its newest success."""
    count = stage.streak
    at_least = "at least " if count >= LISTED else ""
    since = "since" if stage.successes else "listed"
    text = f"{at_least}{count or 'no'} failure{'' if count == 1 else 's'} {since}"
    return Reading(count, count, text, f"streak {count}", Told.OWN_ALERT)


def last_failure(seconds: int) -> Reading:
    """Read the time since the newest failure."""
    brief = f"failure {in_words(seconds)} ago"
    return Reading(seconds, seconds, f"newest {brief}", brief)


def running(seconds: int) -> Reading:
    """Read how long the run in progress has been going; 0 if there is none."""
    words, told = in_words(seconds), Told.ANY_ALERT if seconds else Told(0)
    text = f"running for {words}" if seconds else "not running"
    return Reading(seconds, seconds, text, f"running {words}", told)


def last_duration(seconds: int) -> Reading:
    """Read how long the last run took; graded by nobody."""
    text = f"last run took {in_words(seconds)}"
    return Reading(None, seconds, text, text)


def data_age(seen: DataAge | None) -> Reading:
    """Read the age of what the dashboard shows; None if a stage lists no success."""
    if seen is None:
        text = "age not known, a stage lists no success"
        return Reading(None, None, text, "not known", Told.OK_LINE)
    words = in_words(seen.seconds)
    if seen.exact:
        return Reading(seen.seconds, seen.seconds, f"{words} old", words, Told.OK_LINE)
    return Reading(seen.seconds, None, f"at least {words} old", words, Told.OK_LINE)


def skew(seconds: int) -> Reading:
    """Read this host's clock minus the portal's."""
    # Graded without its sign: a negative number violates even nagiosplugin's empty range.
    graded, words = abs(seconds), in_words(abs(seconds))
    if seconds > 0:
        text = f"this host is {words} ahead of the portal"
        return Reading(graded, seconds, text, f"{words} ahead")
    text = f"this host is {words} behind the portal" if seconds else "in step with the portal"
    return Reading(graded, seconds, text, f"{words} behind")


def response_time(seconds: float) -> Reading:
    """Read the seconds the whole exchange took, to the millisecond; graded by nobody."""
    text = f"answered in {seconds:.3f}s"
    return Reading(None, f"{seconds:.3f}", text, text)
