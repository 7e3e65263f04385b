"""What the timestamps point to: each hint with its evidence, and none without."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from check_cqd_integration.pipeline.stages import Pipeline, Stage
from check_cqd_integration.report import hints

NOW = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)
ARCHIVE = (
    "known causes are lost read rights on QoE Metrics, and a service account without the right to "
    "log on as a batch job"
)
BOTH = f"hint: both steps fail, so look at the archive step first; {ARCHIVE}"
CUBE_STEP = (
    "hint: the archive step works and the cube step fails; a known cause is a client whose clock "
    "is more than 60 years off"
)


def idle(words: str) -> str:
    return (
        f"hint: nothing has begun, failed or succeeded for {words}, although a job is due every "
        f"15m; is SQL Server Agent running, and set to start automatically?"
    )


def stage(
    successes: tuple[int, ...] = (), failures: tuple[int, ...] = (), started: int | None = None
) -> Stage:
    """A stage whose timestamps are so many minutes ago."""

    def ago(minutes: int) -> datetime:
        return NOW - timedelta(minutes=minutes)

    start = None if started is None else ago(started)
    return Stage(NOW, tuple(map(ago, successes)), tuple(map(ago, failures)), start)


@pytest.mark.parametrize(
    ("integration", "cube", "hint"),
    [
        (stage((61, 76)), stage((62,)), idle("1h 1m")),
        (stage((1500,)), stage((1500,), (1441,)), idle("1d 1m")),
        (stage((500,)), stage((500,), started=61), None),  # it may be running
        (stage((500,), started=501), stage((499,), started=500), idle("8h 19m")),
        (stage((61,)), stage((60,)), None),  # four cycles, and no more
        (stage(), stage(), None),
        (
            stage((50,), (2,)),
            stage((50,), (1,)),
            BOTH,
        ),
        (stage((), (2,)), stage((50,)), f"hint: the archive step fails; {ARCHIVE}"),
        (stage((5,)), stage((50,), (1,)), CUBE_STEP),
        (stage((60,)), stage((), (1,)), CUBE_STEP),
        (stage((61,)), stage((70,), (1,)), None),  # the archive step may not work either
        (stage(), stage((70,), (1,)), None),
        (stage((5,), (8,)), stage((4,), (7,)), None),  # both have recovered
        (stage((5,)), stage((59,)), None),  # late, for reasons that no timestamp tells
    ],
)
def test_hint(integration: Stage, cube: Stage, hint: str | None) -> None:
    seen = Pipeline(integration, cube, timezone.utc)
    assert hints.likely_causes(seen, ["cube"]) == ([hint] if hint else [])


@pytest.mark.parametrize("troubled", [["integration"], ["integration", "cube"]])
def test_archive_step_that_is_in_trouble_does_not_work(troubled: list[str]) -> None:
    seen = Pipeline(stage((50,)), stage((50,), (1,)), timezone.utc)
    assert hints.likely_causes(seen, ["cube"]) == [CUBE_STEP]
    assert hints.likely_causes(seen, troubled) == []
