"""How each metric is graded and told: one small context for each kind of measure.

A measure belongs to one subject: a stage, the data, the clock or the portal. Its limits are Nagios
ranges, and inside is fine. It has words of two lengths: ``describe`` gives the usual ones,
``describe_briefly`` those for a line that has become too long.
"""

from __future__ import annotations

from typing import cast

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
from .pipeline import DataAge, StageAge
from .thresholds import NO_LIMITS, Limits, format_range, in_words, limit_in_words

LISTED = 5
"""How many timestamps of a kind the portal lists; there may have been more."""


def _plain(limit: Range) -> str:
    """Return a range in plain numbers; nagiosplugin's own form of ``@0:`` would be a bare ``@``."""
    return "" if limit == Range("") else format_range(limit, str)


class Finding(Result):
    """A graded measure, to be told in words of three lengths; its hint is the broken limit."""

    def __str__(self) -> str:
        text = self.measure.describe(self._metric)
        return f"{text} ({self.hint})" if self.hint else text

    def briefly(self) -> str:
        """Return it in as few words as can be understood."""
        hint = (self.hint or "").replace("limit ", "")
        return f"{self.barely()} ({hint})" if hint else self.barely()

    def barely(self) -> str:
        """Return it in as few words as can be understood, without the limit."""
        return self.measure.describe_briefly(self._metric)

    def is_told(self) -> bool:
        """Tell whether it belongs into an alert on its subject."""
        return self.state != Ok or self.measure.is_told_beside(self._metric)

    def is_limited(self) -> bool:
        """Tell whether there is a limit that it could break."""
        return self.measure.limits != NO_LIMITS

    @property
    def measure(self) -> Measure:
        """The context it was graded in."""
        return cast(Measure, self.context)

    @property
    def _metric(self) -> Metric:
        return cast(Metric, self.metric)


class Measure(Context):
    """A whole number, here of seconds; subclasses give it words."""

    def __init__(self, name: str, subject: str, limits: Limits = NO_LIMITS) -> None:
        super().__init__(name)
        self.subject = subject
        self.limits = limits

    def evaluate(self, metric: Metric, resource: Resource) -> Result:
        """Grade the value; the hint of the result is the limit that was broken, in words."""
        value = self.graded(metric)
        for state, limit in ((Critical, self.limits.critical), (Warn, self.limits.warning)):
            if not limit.match(value):
                return Finding(state, self.limit_in_words(limit), metric)
        return Finding(Ok, None, metric)

    def performance(self, metric: Metric, resource: Resource) -> Performance | None:
        """Return the value with its limits, or None if the value is not known."""
        value = self.measured(metric)
        if value is None:
            return None
        warning, critical = _plain(self.limits.warning), _plain(self.limits.critical)
        return Performance(metric.name, value, metric.uom, warning, critical, metric.min)

    def describe(self, metric: Metric) -> str:
        """Return the value in words."""
        return in_words(metric.value)

    def describe_briefly(self, metric: Metric) -> str:
        """Return the value in as few words as can be understood."""
        return self.describe(metric)

    def is_told_beside(self, metric: Metric) -> bool:
        """Tell whether an alert on the same subject needs this value to be understood."""
        return False

    def graded(self, metric: Metric) -> int:
        """Return the number that is compared with the limits."""
        number: int = metric.value
        return number

    def measured(self, metric: Metric) -> int | str | None:
        """Return the number that goes into the performance data, None if it is not known."""
        number: int = metric.value
        return number

    def limit_in_words(self, limit: Range) -> str:
        """Return a limit of this measure as it stands in an alert."""
        return limit_in_words(limit)


class Age(Measure):
    """A ``StageAge``; while a run younger than ``grace`` is in progress, as at its start."""

    def __init__(
        self, name: str, subject: str, limits: Limits, grace: int, no_success: ServiceState
    ) -> None:
        super().__init__(name, subject, limits)
        self._grace = grace
        self._no_success = no_success

    def evaluate(self, metric: Metric, resource: Resource) -> Result:
        if metric.value.now is None:
            return Finding(self._no_success, None, metric)
        return super().evaluate(metric, resource)

    def graded(self, metric: Metric) -> int:
        age: StageAge = metric.value
        in_grace = age.running is not None and age.running < self._grace
        return cast(int, age.at_start if in_grace else age.now)

    def measured(self, metric: Metric) -> int | None:
        age: StageAge = metric.value
        return age.now

    def is_told_beside(self, metric: Metric) -> bool:
        return True

    def describe(self, metric: Metric) -> str:
        age: StageAge = metric.value
        return "no success listed" if age.now is None else f"last success {in_words(age.now)} ago"

    def describe_briefly(self, metric: Metric) -> str:
        age: StageAge = metric.value
        return "no success" if age.now is None else f"age {in_words(age.now)}"


class Streak(Measure):
    """How many failures of a ``Stage`` are newer than its newest success."""

    def graded(self, metric: Metric) -> int:
        streak: int = metric.value.streak
        return streak

    def measured(self, metric: Metric) -> int:
        return self.graded(metric)

    def is_told_beside(self, metric: Metric) -> bool:
        return True

    def describe(self, metric: Metric) -> str:
        count = self.graded(metric)
        at_least = "at least " if count >= LISTED else ""
        since = "since" if metric.value.successes else "listed"
        return f"{at_least}{count or 'no'} failure{'' if count == 1 else 's'} {since}"

    def describe_briefly(self, metric: Metric) -> str:
        return f"streak {self.graded(metric)}"

    def limit_in_words(self, limit: Range) -> str:
        return limit_in_words(limit, str)


class LastFailure(Measure):
    """The time since the newest failure."""

    def describe(self, metric: Metric) -> str:
        return f"newest failure {in_words(metric.value)} ago"

    def describe_briefly(self, metric: Metric) -> str:
        return f"failure {in_words(metric.value)} ago"


class Running(Measure):
    """How long the run in progress has been going; 0 if there is none."""

    def is_told_beside(self, metric: Metric) -> bool:
        return bool(metric.value)

    def describe(self, metric: Metric) -> str:
        return f"running for {in_words(metric.value)}" if metric.value else "not running"

    def describe_briefly(self, metric: Metric) -> str:
        return f"running {in_words(metric.value)}"


class LastDuration(Measure):
    """How long the last run took; graded by nobody."""

    def describe(self, metric: Metric) -> str:
        return f"last run took {in_words(metric.value)}"


class Data(Measure):
    """The ``DataAge`` of what the dashboard shows; None if a stage lists no success."""

    def __init__(self, name: str, subject: str, limits: Limits, no_success: ServiceState) -> None:
        super().__init__(name, subject, limits)
        self._no_success = no_success

    def evaluate(self, metric: Metric, resource: Resource) -> Result:
        if metric.value is not None:
            return super().evaluate(metric, resource)
        return Finding(Ok if self.limits == NO_LIMITS else self._no_success, None, metric)

    def graded(self, metric: Metric) -> int:
        age: DataAge = metric.value
        return age.seconds

    def measured(self, metric: Metric) -> int | None:
        age: DataAge | None = metric.value
        return age.seconds if age and age.exact else None

    def describe(self, metric: Metric) -> str:
        age: DataAge | None = metric.value
        if age is None:
            return "age not known, a stage lists no success"
        return f"{'' if age.exact else 'at least '}{in_words(age.seconds)} old"

    def describe_briefly(self, metric: Metric) -> str:
        age: DataAge | None = metric.value
        return in_words(age.seconds) if age else "not known"


class Skew(Measure):
    """This host's clock minus the portal's."""

    def __init__(self, name: str, subject: str, tolerated: int) -> None:
        super().__init__(name, subject, Limits(Range(f"-{tolerated}:{tolerated}"), Range("")))
        self._tolerated = tolerated

    def graded(self, metric: Metric) -> int:
        # Without its sign: a negative number violates even nagiosplugin's empty range.
        skew: int = metric.value
        return abs(skew)

    def describe(self, metric: Metric) -> str:
        if metric.value == 0:
            return "in step with the portal"
        side = "ahead of" if metric.value > 0 else "behind"
        return f"this host is {in_words(abs(metric.value))} {side} the portal"

    def describe_briefly(self, metric: Metric) -> str:
        return f"{in_words(abs(metric.value))} {'ahead' if metric.value > 0 else 'behind'}"

    def limit_in_words(self, limit: Range) -> str:
        return f"limit {in_words(self._tolerated)}"


class ResponseTime(Measure):
    """The seconds the whole exchange took, to the millisecond; graded by nobody."""

    def measured(self, metric: Metric) -> str:
        return f"{metric.value:.3f}"

    def describe(self, metric: Metric) -> str:
        return f"answered in {self.measured(metric)}s"


class Trouble(Context):
    """The error that stands in for all metrics when the portal cannot be graded."""

    def __init__(self, name: str, unreachable: ServiceState) -> None:
        super().__init__(name)
        self._unreachable = unreachable

    def evaluate(self, metric: Metric, resource: Resource) -> Result:
        is_unreachable = isinstance(metric.value, UnreachableError)
        return Result(self._unreachable if is_unreachable else Unknown, None, metric)

    def describe(self, metric: Metric) -> str:
        return str(metric.value)
