"""The pipeline at one moment: how old, how often failed, what is running.

Microsoft's documents give the schedule (every 15 minutes the integration, then the cube
processing) and a sample in which the start timestamp of a failed run is still set; that it means
"running" only while it is the newest of its stage is read off that sample.
"""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from typing import NamedTuple

from .clock import Clock, Moments
from .status import IntegrationStatus, StageLog

CYCLE = 15 * 60
"""Seconds from one run of the job to the next, as Microsoft's documents schedule it."""
OVERDUE = 4 * CYCLE
"""Seconds after which what has not happened again is more than late."""


class Stage(NamedTuple):
    """One stage as seen at ``now``; all moments are UTC, lists newest first.

    All results are whole seconds. A moment that is still ahead counts as now: the clocks of two
    hosts differ a little.
    """

    now: datetime
    successes: Moments
    failures: Moments
    started: datetime | None

    @property
    def age(self) -> int | None:
        """Time since the newest success; None if none is listed."""
        return self.seconds_since(self.successes[0]) if self.successes else None

    @property
    def last_failure(self) -> int | None:
        """Time since the newest failure; None if none is listed."""
        return self.seconds_since(self.failures[0]) if self.failures else None

    @property
    def streak(self) -> int:
        """How many listed failures are newer than the newest success."""
        if not self.successes:
            return len(self.failures)
        return sum(failure > self.successes[0] for failure in self.failures)

    @property
    def running(self) -> int | None:
        """How long the run in progress has been going; None if there is none."""
        ends = self._ends()
        if self.started is None or (ends and self.started <= max(ends)):
            return None
        return self.seconds_since(self.started)

    @property
    def duration(self) -> int | None:
        """How long the last run took; None while one is in progress, or if it cannot be told."""
        end = max(self._ends(), default=None)
        start = self._start_of(end)
        return _seconds(start, end) if start and end else None

    @property
    def moments(self) -> Moments:
        """All moments, the start included, in no order."""
        return self._ends() if self.started is None else (*self._ends(), self.started)

    @property
    def newest(self) -> datetime | None:
        """The newest of all moments; None if there is none."""
        return max(self.moments, default=None)

    @property
    def failed_run_start(self) -> datetime | None:
        """When the run of the newest failure began; None if that cannot be told."""
        return self._start_of(max(self.failures, default=None))

    def seconds_since(self, moment: datetime) -> int:
        """Return how long ago a moment was."""
        return _seconds(moment, self.now)

    def _start_of(self, end: datetime | None) -> datetime | None:
        """Return when the run that ended then began; None if that cannot be told.

        The start timestamp is that of this run, if it is not later, and if no other run ended in
        between.
        """
        if self.started is None or end is None or self.started > end:
            return None
        is_of_another = any(self.started < each < end for each in self._ends())
        return None if is_of_another else self.started

    def _ends(self) -> Moments:
        return self.successes + self.failures


class StageAge(NamedTuple):
    """The age of a stage, and what it was when the run in progress began, in seconds."""

    now: int | None
    """None if no success is listed."""
    at_start: int | None
    """None as well if no run is in progress, or only one that began before that success."""
    running: int | None
    """How long that run has been going."""


class DataAge(NamedTuple):
    """How old the data in the dashboard are, in seconds."""

    seconds: int
    exact: bool
    """False if the listed integrations are all too new: the data are at least this old."""


class Pipeline(NamedTuple):
    """Both stages as seen at ``now``, and what follows from the two together."""

    integration: Stage
    cube: Stage
    zone: tzinfo | None
    """The zone of the portal's timestamps; None is this host's own."""
    has_offsets: bool = False
    """Whether they have offsets of their own, so that the zone does not matter to them."""

    def stages(self) -> dict[str, Stage]:
        """Return the stages by name, in the order in which they run."""
        return {"integration": self.integration, "cube": self.cube}

    def age_of(self, stage: Stage) -> StageAge:
        """Return the age of one of the stages.

        The run in progress may be one of the other stage: both are steps of one job, and a run
        that is still going delays the next job.
        """
        runs = [each.started for each in self.stages().values() if each.running is not None]
        start = max(filter(None, runs), default=None)
        if start is None or not stage.successes or start <= stage.successes[0]:
            return StageAge(stage.age, None, None)
        at_start = _seconds(stage.successes[0], min(start, stage.now))
        return StageAge(stage.age, at_start, stage.seconds_since(start))

    @property
    def idle(self) -> int | None:
        """Time since anything happened; None while a run is in progress, or if nothing has."""
        stages = self.stages().values()
        if any(stage.running is not None for stage in stages):
            return None
        moments = [moment for stage in stages for moment in stage.moments]
        return self.cube.seconds_since(max(moments)) if moments else None

    @property
    def data_age(self) -> DataAge | None:
        """The age of the newest integration included in the newest cube.

        None if either stage lists no success.
        """
        if not self.integration.successes or not self.cube.successes:
            return None
        processed = self.cube.successes[0]
        for integrated in self.integration.successes:
            if integrated <= processed:
                return DataAge(self.integration.seconds_since(integrated), exact=True)
        return DataAge(self.cube.seconds_since(processed), exact=False)


def build_pipeline(status: IntegrationStatus, clock: Clock) -> Pipeline:
    """Return the pipeline as seen by the clock.

    Raises AnswerError for a timestamp in the future.
    """
    return Pipeline(
        integration=_stage(clock, status.integration),
        cube=_stage(clock, status.cube),
        zone=clock.zone,
        has_offsets=any(
            timestamp.tzinfo is not None
            for log in status
            for timestamp in (*log.successes, *log.failures, *filter(None, [log.started]))
        ),
    )


def _stage(clock: Clock, log: StageLog) -> Stage:
    successes, failures = clock.successes(log.successes), clock.failures(log.failures)
    return Stage(
        now=clock.now,
        successes=successes,
        failures=failures,
        started=None if log.started is None else clock.start(log.started, successes + failures),
    )


def _seconds(since: datetime, until: datetime) -> int:
    return max((until - since) // timedelta(seconds=1), 0)
