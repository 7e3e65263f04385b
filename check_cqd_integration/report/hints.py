"""What the timestamps point to, for whoever has to fix it.

The causes are those of Microsoft's "Plan for CQD" and "Deploy CQD", and a wrong ``--timezone``. A
hint says what is to be seen, and which known cause would look like that; no more. No stage that is
graded OK is blamed; one that is not graded may be the cause all the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import timedelta, timezone, tzinfo

from ..pipeline import CYCLE, OVERDUE, Pipeline
from ..thresholds import in_words

_HALF_HOURS = (-9.5, -3.5, -2.5, 3.5, 4.5, 5.5, 6.5, 9.5, 10.5)
_OFFSETS = tuple(timedelta(hours=hours) for hours in (*range(-12, 15), *_HALF_HOURS))
"""The offsets that any zone of the IANA time zone database has in 2026, quarters left out.

A quarter more could not be told from a pipeline that waits for its next run.
"""
_LEAST, _MOST = timedelta(minutes=30), timedelta(hours=14)
"""How far behind the zone that was given another one is looked for."""
_FRESH = timedelta(seconds=CYCLE + 5 * 60)
"""How old the newest timestamp of a healthy stage can be: it waits a little for its next run."""
_LONG_RUN = 2 * OVERDUE
"""Seconds after which a run may well have been killed; most cubes take less."""
_STEPS = {"integration": "archive", "cube": "cube"}
_WITHOUT_SUMMER = {
    "EST": "America/New_York",
    "MST": "America/Denver",
    "HST": "America/Adak",
}
"""Names that look like a zone with daylight saving time, and a zone that has it."""


def of_zone(zone: tzinfo | None) -> list[str]:
    """Return the hint on a zone that is easily taken for another one, if it is one."""
    name = getattr(zone, "key", "")
    if name not in _WITHOUT_SUMMER:
        return []
    return [
        f"hint: {name} never has daylight saving time; if the portal has it, name its zone, such "
        f"as {_WITHOUT_SUMMER[name]}"
    ]


def likely_causes(
    pipeline: Pipeline, troubled: Collection[str], fine: Collection[str]
) -> list[str]:
    """Return the hints for a pipeline in trouble, one line each, the likeliest first.

    ``troubled`` are the stages that are graded and not OK, ``fine`` those that are graded OK.
    """
    return [
        *_wrong_zone(pipeline),
        *_stopped(pipeline),
        *_killed(pipeline, fine),
        *_failing(pipeline, troubled, fine),
    ]


def _wrong_zone(pipeline: Pipeline) -> Iterator[str]:
    """Look for the zone in which both stages would be fresh; at most one can be."""
    newest = [stage.newest for stage in pipeline.stages().values()]
    now = pipeline.integration.now
    moments = [moment for moment in newest if moment is not None]
    if pipeline.has_offsets or len(moments) < len(newest) or now - min(moments) > _MOST + _FRESH:
        return
    written = [moment.astimezone(pipeline.zone).replace(tzinfo=None) for moment in moments]
    for offset in _OFFSETS:
        meant = [local.replace(tzinfo=timezone(offset)) for local in written]
        is_fresh = all(timedelta() <= now - moment <= _FRESH for moment in meant)
        if is_fresh and _LEAST <= meant[0] - moments[0] <= _MOST:
            yield (
                f"hint: the timestamps would be fresh if the portal were in {timezone(offset)}; is "
                f"--timezone right?"
            )


def _stopped(pipeline: Pipeline) -> Iterator[str]:
    if pipeline.idle is not None and pipeline.idle > OVERDUE:
        yield (
            f"hint: nothing has begun, failed or succeeded for {in_words(pipeline.idle)}, although "
            f"a job is due every {in_words(CYCLE)}; is SQL Server Agent running, and set to start "
            f"automatically?"
        )


def _killed(pipeline: Pipeline, fine: Collection[str]) -> Iterator[str]:
    for name, stage in pipeline.stages().items():
        if name not in fine and stage.running is not None and stage.running > _LONG_RUN:
            yield (
                f"hint: the {_STEPS[name]} step began {in_words(stage.running)} ago and has not "
                f"ended; is it still running, or did a stop of SQL Server Agent or a restart of "
                f"the server kill it?"
            )


def _failing(pipeline: Pipeline, troubled: Collection[str], fine: Collection[str]) -> Iterator[str]:
    integration, cube = pipeline.integration, pipeline.cube
    archive_fails = integration.streak and "integration" not in fine
    cube_fails = cube.streak and "cube" not in fine
    if archive_fails:
        both = "both steps fail, so look at the archive step first"
        yield (
            f"hint: {both if cube_fails else 'the archive step fails'}; known causes are lost read "
            f"rights on QoE Metrics, and a service account without the right to log on as a batch "
            f"job"
        )
    elif (
        cube_fails
        and "integration" not in troubled
        and not integration.streak
        and integration.age is not None
        and integration.age <= OVERDUE
    ):
        yield (
            "hint: the archive step works and the cube step fails; a known cause is a client whose "
            "clock is more than 60 years off"
        )
