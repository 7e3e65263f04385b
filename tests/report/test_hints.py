"""What the timestamps point to: each hint with its evidence, and none without."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone, tzinfo
from itertools import chain
from zoneinfo import ZoneInfo, available_timezones

import pytest
from host_zone import host_zone
from readme import DOCS

from check_cqd_integration.pipeline.stages import Pipeline, Stage
from check_cqd_integration.report import hints

NOW = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)
ARCHIVE = (
    "known causes are lost read rights on QoE Metrics, and a service account without the right to "
    "log on as a batch job"
)
ARCHIVE_STEP = f"hint: the archive step fails; {ARCHIVE}"
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
    successes: tuple[float, ...] = (),
    failures: tuple[float, ...] = (),
    started: float | None = None,
) -> Stage:
    """A stage whose timestamps are so many minutes ago."""

    def ago(minutes: float) -> datetime:
        return NOW - timedelta(minutes=minutes)

    start = None if started is None else ago(started)
    return Stage(NOW, tuple(map(ago, successes)), tuple(map(ago, failures)), start)


def killed(step: str, words: str) -> str:
    return (
        f"hint: the {step} step began {words} ago and has not ended; is it still running, or did a "
        f"stop of SQL Server Agent or a restart of the server kill it?"
    )


def of_zone(zone: str) -> str:
    return f"hint: the timestamps would be fresh if the portal were in {zone}; is --timezone right?"


@pytest.mark.parametrize(
    ("integration", "cube", "expected"),
    [
        (stage((85, 100)), stage((82,)), [idle("1h 22m")]),
        (stage((1500,)), stage((1500,), (1441,)), [idle("1d 1m")]),
        (stage((500,)), stage((500,), started=61), []),  # it may be running
        (stage((531,), started=532), stage((526,), started=530), [idle("8h 46m")]),
        (stage((85,)), stage((60,)), []),  # four cycles, and no more
        (stage(), stage(), []),
        (stage((50,), (2,)), stage((50,), (1,)), [BOTH]),
        (stage((), (2,)), stage((50,)), [ARCHIVE_STEP]),
        (stage((5,)), stage((50,), (1,)), [CUBE_STEP]),
        (stage((60,)), stage((), (1,)), [CUBE_STEP]),
        (stage((61,)), stage((70,), (1,)), []),  # the archive step may not work either
        (stage(), stage((70,), (1,)), []),
        (stage((5,), (8,)), stage((4,), (7,)), []),  # both have recovered
        (stage((5,)), stage((59,)), []),  # late, for reasons that no timestamp tells
        (stage((5,)), stage((130,), started=121), [killed("cube", "2h 1m")]),
        (stage((5,)), stage((130,), started=120), []),  # some cubes take as long
        (stage((), started=300), stage(), [killed("archive", "5h")]),
        (stage((5,)), stage((130,), (110,), started=121), [CUBE_STEP]),  # it has ended
        (stage((500,), (90,)), stage((500,), (85,)), [idle("1h 25m"), BOTH]),
        (stage((), (5,)), stage((300,), started=290), [killed("cube", "4h 50m"), ARCHIVE_STEP]),
    ],
)
def test_hints(integration: Stage, cube: Stage, expected: list[str]) -> None:
    seen = Pipeline(integration, cube, timezone.utc)
    assert hints.likely_causes(seen, ["integration", "cube"], []) == [
        each for each in expected if each != CUBE_STEP
    ]
    assert hints.likely_causes(seen, ["cube"], []) == expected  # the other one is not graded


@pytest.mark.parametrize(
    ("integration", "cube", "fine", "expected"),
    [
        (stage((40,), (2,)), stage((70,)), "integration", []),
        (stage((50,), (2,)), stage((50,), (1,)), "cube", [ARCHIVE_STEP]),
        (stage((50,), (2,)), stage((50,), (1,)), "integration", []),  # nor said to work
        (stage((5,)), stage((50,), (1,)), "integration", [CUBE_STEP]),
        (stage((5,)), stage((50,), (1,)), "cube", []),
        (stage((5,)), stage((), started=300), "cube", []),
        (stage((), started=300), stage((5,)), "integration", []),
    ],
)
def test_stage_that_is_ok_is_never_blamed(
    integration: Stage, cube: Stage, fine: str, expected: list[str]
) -> None:
    seen = Pipeline(integration, cube, timezone.utc)
    troubled = [name for name in seen.stages() if name != fine]
    assert hints.likely_causes(seen, troubled, [fine]) == expected


LOS_ANGELES = 8 * 60
TO_MINUS_12 = 12 * 60


@pytest.mark.parametrize(
    ("zone", "integration", "cube", "expected"),
    [
        ("UTC", stage((LOS_ANGELES,)), stage((LOS_ANGELES + 20,)), "UTC-08:00"),
        ("UTC", stage((LOS_ANGELES - 0.1,)), stage((LOS_ANGELES + 2,)), None),
        ("UTC", stage((LOS_ANGELES + 2,)), stage((LOS_ANGELES + 20.05,)), None),
        ("UTC", stage((LOS_ANGELES + 2,)), stage((9 * 60 + 2,)), None),  # another multiple
        ("UTC", stage((LOS_ANGELES + 2,)), stage(), None),
        ("UTC", stage(), stage((LOS_ANGELES + 2,)), None),
        ("UTC", stage((900,), (LOS_ANGELES + 9,)), stage((900,), started=LOS_ANGELES), "UTC-08:00"),
        ("UTC", stage((62,)), stage((61,)), "UTC-01:00"),
        ("UTC", stage((2,)), stage((1,)), None),
        ("UTC", stage((32,)), stage((31,)), None),  # no portal is in UTC-00:30
        ("UTC", stage((3 * 60 + 32,)), stage((3 * 60 + 31,)), "UTC-03:30"),
        ("UTC", stage((TO_MINUS_12 + 2,)), stage((TO_MINUS_12 + 1,)), "UTC-12:00"),
        ("UTC", stage((TO_MINUS_12 + 62,)), stage((TO_MINUS_12 + 61,)), None),
        ("Europe/Berlin", stage((62,)), stage((61,)), "UTC"),  # it is winter there
        ("Europe/Berlin", stage((32,)), stage((31,)), None),  # nor in UTC+00:30
        ("Asia/Kolkata", stage((32,)), stage((31,)), "UTC+05:00"),
        ("Asia/Kolkata", stage((62,)), stage((61,)), "UTC+04:30"),
        ("Pacific/Kiritimati", stage((14 * 60 + 2,)), stage((14 * 60 + 1,)), "UTC"),
        ("Asia/Kathmandu", stage((32,)), stage((31,)), None),  # quarters are not looked for
        ("Asia/Kathmandu", stage((17,)), stage((16,)), None),  # that is fresh as it is
        ("Asia/Kathmandu", stage((47,)), stage((46,)), "UTC+05:00"),
        ("Pacific/Auckland", stage((14 * 60,)), stage((14 * 60 + 20,)), "UTC-01:00"),
        ("Pacific/Auckland", stage((15 * 60,)), stage((15 * 60,)), None),
        ("Pacific/Auckland", stage((14 * 60 + 21,)), stage((14 * 60 + 1,)), None),
    ],
)
def test_zone_in_which_the_timestamps_would_be_fresh(
    zone: str, integration: Stage, cube: Stage, expected: str | None
) -> None:
    seen = Pipeline(integration, cube, ZoneInfo(zone))
    found = [each for each in hints.likely_causes(seen, ["cube"], []) if "--timezone" in each]
    assert found == ([] if expected is None else [of_zone(expected)])


def test_zone_comes_first() -> None:
    seen = Pipeline(stage((483,)), stage((), (482,)), timezone.utc)
    assert hints.likely_causes(seen, ["cube"], []) == [of_zone("UTC-08:00"), idle("8h 2m")]
    seen = Pipeline(stage((500,), started=481), stage((482,)), timezone.utc)
    assert hints.likely_causes(seen, ["cube"], []) == [
        of_zone("UTC-08:00"),
        killed("archive", "8h 1m"),
    ]


def test_offset_is_that_which_the_zone_has_at_that_moment() -> None:
    """Berlin has left daylight saving time since: now it is an hour nearer to UTC."""
    now = datetime(2026, 10, 25, 4, tzinfo=timezone.utc)
    newest = datetime(2026, 10, 25, 0, 55, tzinfo=timezone.utc)  # 02:55, when that was UTC+02:00
    both = Stage(now, (newest,), (), None)
    seen = Pipeline(both, both, ZoneInfo("Europe/Berlin"))
    assert hints.likely_causes(seen, ["cube"], [])[0] == of_zone("UTC-01:00")


def test_zone_of_this_host() -> None:
    with host_zone("<+0530>-5:30"):
        seen = Pipeline(stage((32,)), stage((31,)), None)
        assert hints.likely_causes(seen, ["cube"], []) == [of_zone("UTC+05:00")]


def test_offsets_are_those_of_the_zone_database() -> None:
    days = [datetime(2026, month, 1) for month in range(1, 13)]
    found = {ZoneInfo(name).utcoffset(day) for name in available_timezones() for day in days}
    halves = {each for each in found if each is not None and not each % timedelta(minutes=30)}
    assert set(hints._OFFSETS) == halves


@pytest.mark.parametrize(
    ("name", "place"),
    [("EST", "America/New_York"), ("MST", "America/Denver"), ("HST", "America/Adak")],
)
def test_name_that_has_no_daylight_saving_time(name: str, place: str) -> None:
    winter, summer = datetime(2026, 1, 1), datetime(2026, 7, 1)
    assert ZoneInfo(name).utcoffset(winter) == ZoneInfo(name).utcoffset(summer)
    assert ZoneInfo(name).utcoffset(winter) == ZoneInfo(place).utcoffset(winter)
    assert ZoneInfo(place).utcoffset(winter) != ZoneInfo(place).utcoffset(summer)
    assert hints.of_zone(ZoneInfo(name)) == [
        f"hint: {name} never has daylight saving time; if the portal has it, name its zone, such "
        f"as {place}"
    ]


@pytest.mark.parametrize("zone", [None, timezone.utc, ZoneInfo("America/Phoenix")])
def test_zone_that_is_not_mistaken(zone: tzinfo | None) -> None:
    assert hints.of_zone(zone) == []


def test_manual_has_every_hint_and_no_other() -> None:
    """What differs from case to case is in capitals there, or left out."""
    seen = [
        (stage((483,)), stage((), (482,))),
        (stage((500,), (90,)), stage((500,), (85,))),
        (stage((), (5,)), stage((300,), started=290)),
        (stage((5,)), stage((50,), (1,))),
    ]
    told = set(hints.of_zone(ZoneInfo("EST")))
    for integration, cube in seen:
        told |= set(hints.likely_causes(Pipeline(integration, cube, timezone.utc), ["cube"], []))
    text = (DOCS / "output.md").read_text(encoding="utf-8")
    section = text.partition("\n### Hints\n")[2]
    rows = re.findall("^\\| `(.*?)` \\|", section.partition("\n## ")[0], re.M)
    patterns = [re.sub(r"\\\.\\\.\\\.|[A-Z]{4,}", ".*", re.escape(f"hint: {row}")) for row in rows]
    of_row = [[hint for hint in told if re.fullmatch(each, hint)] for each in patterns]
    assert all(of_row)
    assert sorted(chain.from_iterable(of_row)) == sorted(told)
