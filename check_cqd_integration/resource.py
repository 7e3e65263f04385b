"""The monitored thing: fetches the answer, looks at the clock, and measures."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING

from nagiosplugin import Metric, Resource

from .errors import PluginError
from .pipeline import Clock, Pipeline, Stage, build_pipeline, parse_status
from .portal import NO_SECRETS, Answer, Secrets

if TYPE_CHECKING:
    from .pipeline.log import Excerpt


class IntegrationLog(Resource):
    """The portal's integration log, through whatever fetches it.

    ``clock`` is asked as soon as an answer is there.
    """

    def __init__(
        self,
        fetch: Callable[[], Answer],
        clock: Callable[[], Clock],
        stages: Collection[str],
        secrets: Secrets = NO_SECRETS,
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self.stages = stages
        self.secrets = secrets
        """What must not be shown of what the portal says."""
        self.pipeline: Pipeline | None = None
        """What was read, for the long output; None if it could not be read."""
        self.zone: tzinfo | None = None
        """That of the portal's timestamps, once there was an answer; None is this host's own."""
        self.unread: Answer | None = None
        """The answer that could not be read, if there was one."""
        self.excerpt: Excerpt | None = None
        """What the portal's own log says; None if it was not asked for."""

    def probe(self) -> list[Metric]:
        """Return all metrics, or the one metric ``trouble`` that holds the error.

        An error is returned, not raised: nagiosplugin would make all of them UNKNOWN.
        """
        answer = None
        try:
            answer = self._fetch()
            clock = self._clock()
            self.zone = clock.zone
            self.pipeline = build_pipeline(parse_status(answer.body, clock.date_order), clock)
        except PluginError as error:
            self.unread = answer
            self.secrets.hide_in(error)
            return [Metric("trouble", error)]
        return [
            *self._of_stages(self.pipeline),
            Metric("data_age", self.pipeline.data_age, "s", min=0),
            *_of_network(answer, clock.now),
        ]

    def read_log(self, fetch: Callable[[], bytes], troubled: Collection[str], count: int) -> None:
        """Fetch the portal's log as well; keep what it says of the trouble of these stages.

        ``count`` entries are kept for each of them at most.

        Whatever goes wrong is kept as well and not raised: the state has been found without it.
        """
        from .pipeline import log  # here, so that only an alert pays for it

        seen = self.pipeline.stages() if self.pipeline else {}
        stages = {name: seen[name] for name in troubled}
        try:
            listed = log.parse_log(fetch(), self._clock())
        except PluginError as error:
            self.secrets.hide_in(error)
            self.excerpt = log.Excerpt(problem=str(error))
        except Exception as error:
            self.excerpt = log.Excerpt(problem=f"this is a bug: {type(error).__name__}")
        else:
            tell = self.secrets.told
            entries = log.select_entries(stages, listed, count)
            self.excerpt = log.Excerpt(tuple(entry.told(tell) for entry in entries))

    def _of_stages(self, seen: Pipeline) -> Iterator[Metric]:
        for name, stage in seen.stages().items():
            if name in self.stages:
                yield Metric(f"{name}_age", seen.age_of(stage), "s", min=0)
                yield from _of_stage(name, stage)


def _of_stage(name: str, stage: Stage) -> Iterator[Metric]:
    yield Metric(f"{name}_streak", stage, min=0)
    if stage.last_failure is not None:
        yield Metric(f"{name}_last_failure", stage.last_failure, "s", min=0)
    yield Metric(f"{name}_running", stage.running or 0, "s", min=0)
    if stage.duration is not None:
        yield Metric(f"{name}_duration", stage.duration, "s", min=0)


def _of_network(answer: Answer, now: datetime) -> Iterator[Metric]:
    if answer.date is not None:
        yield Metric("clock_skew", round((now - answer.date) / timedelta(seconds=1)), "s")
    if answer.response_time is not None:
        yield Metric("response_time", answer.response_time, "s", min=0)
