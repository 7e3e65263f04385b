"""The portal's local time, read by this host's clock, in the hours that a zone repeats or skips."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest
from host_zone import host_zone

from check_cqd_integration.errors import AnswerError
from check_cqd_integration.pipeline.clock import Clock

UTC = timezone.utc
BERLIN, LOCAL_BERLIN = ZoneInfo("Europe/Berlin"), "CET-1CEST,M3.5.0,M10.5.0/3"
FAR_EAST, FAR_WEST = ZoneInfo("Etc/GMT-14"), ZoneInfo("Etc/GMT+12")
NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
ADVICE = "; is --timezone the portal's zone, and are both clocks right?"

SetZone = Callable[[str], None]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.fixture
def set_host_zone() -> Iterator[SetZone]:
    """Set this host's zone for one test."""
    with ExitStack() as zones:
        yield lambda rule: zones.enter_context(host_zone(rule))


@pytest.mark.parametrize(
    ("hour", "zone"), [(12, "UTC"), (11, "Europe/Berlin"), (3, "Asia/Tokyo"), (17, "America/Lima")]
)
def test_timestamp_in_a_zone(hour: int, zone: str) -> None:
    clock = Clock(NOW + timedelta(days=1), ZoneInfo(zone), 0)
    assert clock.failures((datetime(2026, 11, 24, 12),)) == (
        datetime(2026, 11, 24, hour, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("hour", "zone"), [(12, "UTC0"), (11, LOCAL_BERLIN), (3, "JST-9"), (17, "EST5")]
)
def test_timestamp_in_the_zone_of_this_host(hour: int, zone: str, set_host_zone: SetZone) -> None:
    set_host_zone(zone)
    clock = Clock(NOW + timedelta(days=1), None, 0)
    assert clock.failures((datetime(2026, 11, 24, 12),)) == (
        datetime(2026, 11, 24, hour, tzinfo=UTC),
    )


@pytest.mark.parametrize("local", [False, True], ids=["named", "local"])
@pytest.mark.parametrize(
    ("moment", "now", "timestamp"),
    [
        # repeated: 02:30 is 00:30Z, then 01:30Z
        ("2026-10-25T00:30", "2026-10-25T00:29", "2026-10-25T02:30"),
        ("2026-10-25T00:30", "2026-10-25T00:30", "2026-10-25T02:30"),
        ("2026-10-25T00:30", "2026-10-25T01:00", "2026-10-25T02:30"),
        ("2026-10-25T00:30", "2026-10-25T01:28:59", "2026-10-25T02:30"),
        ("2026-10-25T01:30", "2026-10-25T01:29", "2026-10-25T02:30"),  # within --max-skew
        ("2026-10-25T01:30", "2026-10-25T01:30", "2026-10-25T02:30"),
        ("2026-10-25T01:30", "2026-10-25T02:00", "2026-10-25T02:30"),
        ("2026-10-25T01:30", "2026-11-24T12:00", "2026-10-25T02:30"),
        # its ends
        ("2026-10-24T23:59", "2026-11-24T12:00", "2026-10-25T01:59"),
        ("2026-10-25T01:00", "2026-11-24T12:00", "2026-10-25T02:00"),
        ("2026-10-25T02:00", "2026-11-24T12:00", "2026-10-25T03:00"),
        # skipped: 02:30 never was; by the winter's offset it is 01:30Z, by the summer's 00:30Z
        ("2026-03-29T00:30", "2026-03-29T00:29", "2026-03-29T02:30"),
        ("2026-03-29T00:30", "2026-03-29T01:00", "2026-03-29T02:30"),
        ("2026-03-29T01:30", "2026-03-29T01:30", "2026-03-29T02:30"),
        ("2026-03-29T01:30", "2026-11-24T12:00", "2026-03-29T02:30"),
    ],
)
def test_repeated_and_skipped_hour(
    moment: str, now: str, timestamp: str, local: bool, set_host_zone: SetZone
) -> None:
    set_host_zone(LOCAL_BERLIN if local else "UTC0")
    clock = Clock(utc(now), None if local else BERLIN, 60)
    assert clock.failures((datetime.fromisoformat(timestamp),)) == (utc(moment),)


@pytest.mark.parametrize("ahead", [-1, 0, 1, 299, 300, 300.999])
def test_timestamp_ahead_is_tolerated(ahead: float) -> None:
    timestamp = datetime(2026, 11, 24, 12)
    clock = Clock(NOW - timedelta(seconds=ahead), UTC, 300)
    assert clock.failures((timestamp,))[0] == NOW


@pytest.mark.parametrize(
    ("ahead", "now", "max_skew", "zone"),
    [
        ("5m 1s", "2026-11-24T11:54:59", 300, UTC),
        ("1s", "2026-11-24T11:59:59", 0, UTC),
        ("1h", "2026-11-24T10:00:00", 3599, BERLIN),
        ("365d", "2025-11-24T12:00:00", 86400, UTC),
    ],
)
def test_timestamp_too_far_ahead(ahead: str, now: str, max_skew: int, zone: tzinfo) -> None:
    with pytest.raises(AnswerError) as caught:
        Clock(utc(now), zone, max_skew).failures((datetime(2026, 11, 24, 12),))
    assert str(caught.value) == (
        f"the timestamp 2026-11-24 12:00:00 is {ahead} ahead of this host's clock{ADVICE}"
    )


def test_repeated_hour_too_far_ahead() -> None:
    with pytest.raises(AnswerError) as caught:
        Clock(utc("2026-10-25T00:00"), BERLIN, 60).failures((datetime(2026, 10, 25, 2, 30),))
    assert str(caught.value) == (
        f"the timestamp 2026-10-25 02:30:00 is 30m ahead of this host's clock{ADVICE}"
    )


FIRST, LAST = datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59)


@pytest.mark.parametrize(
    ("moment", "timestamp", "zone"),
    [
        ("0001-01-01T00:00:00", FIRST, UTC),
        ("0001-01-01T12:00:00", FIRST, FAR_WEST),
        ("0001-01-01T00:00:00", FIRST + timedelta(hours=14), FAR_EAST),
        ("9999-12-31T23:59:59", LAST, UTC),
        ("9999-12-31T09:59:59", LAST, FAR_EAST),
        ("9999-12-31T23:59:59", LAST - timedelta(hours=12), FAR_WEST),
    ],
    ids=str,
)
@pytest.mark.parametrize("local", ["EST5", "JST-9"])
def test_timestamp_at_the_ends_of_the_calendar(
    moment: str, timestamp: datetime, zone: tzinfo, local: str, set_host_zone: SetZone
) -> None:
    set_host_zone(local)
    assert Clock(LAST.replace(tzinfo=UTC), zone, 0).failures((timestamp,)) == (utc(moment),)


@pytest.mark.parametrize(
    ("timestamp", "zone", "local"),
    [
        (FIRST, FAR_EAST, "UTC0"),
        (FIRST, ZoneInfo("Asia/Tokyo"), "UTC0"),
        (FIRST, None, "JST-9"),
        (LAST, FAR_WEST, "UTC0"),
        (LAST, ZoneInfo("America/Lima"), "UTC0"),
        (LAST, None, "EST5"),
        (FIRST.replace(tzinfo=UTC), FAR_WEST, "UTC0"),  # it has an offset, and is told in the zone
        (FIRST.replace(tzinfo=UTC), None, "EST5"),
    ],
    ids=str,
)
def test_timestamp_beyond_the_ends_of_the_calendar(
    timestamp: datetime, zone: tzinfo | None, local: str, set_host_zone: SetZone
) -> None:
    set_host_zone(local)
    with pytest.raises(AnswerError) as caught:
        Clock(NOW, zone, 300).failures((timestamp,))
    assert str(caught.value) == f"the timestamp {timestamp} is beyond the ends of the calendar"


def test_timestamp_millennia_ahead() -> None:
    with pytest.raises(AnswerError) as caught:
        Clock(NOW, UTC, 300).failures((LAST,))
    assert str(caught.value) == (
        f"the timestamp 9999-12-31 23:59:59 is 2912115d 11h ahead of this host's clock{ADVICE}"
    )


@pytest.mark.parametrize("ahead", [1, 300, 301, 10**6])
def test_reading_of_a_timestamp_however_far_ahead(ahead: int) -> None:
    timestamp = NOW.replace(tzinfo=None) + timedelta(seconds=ahead)
    assert Clock(NOW, UTC, 300).to_utc(timestamp) == NOW + timedelta(seconds=ahead)


# --- the hour that a zone repeats -----------------------------------------------------------------

AUTUMN = Clock(utc("2026-10-25T01:50"), BERLIN, 0)
"""02:50 for the second time: 02:00 to 02:50 were twice, at 00:00Z to 00:50Z and an hour later."""


def local(*times: str) -> tuple[datetime, ...]:
    return tuple(datetime.fromisoformat(f"2026-10-25T{each}") for each in times)


def zulu(*times: str) -> tuple[datetime, ...]:
    return tuple(utc(f"2026-10-25T{each}") for each in times)


@pytest.mark.parametrize(
    ("listed", "moments"),
    [
        (["02:40"], ["00:40"]),
        (["02:40", "02:20"], ["00:40", "00:20"]),
        # a newer one with an earlier time: the clocks were set back between the two
        (["02:20", "02:40"], ["01:20", "00:40"]),
        (["02:20", "02:05", "02:50", "02:35"], ["01:20", "01:05", "00:50", "00:35"]),
        (["02:20", "02:20"], ["00:20"]),
        (["02:20", "01:50"], ["00:20", "23:50"]),
        # not newest first, so its order proves nothing
        (["02:05", "02:20", "02:35"], ["00:35", "00:20", "00:05"]),
        (["02:05", "03:00", "02:35"], None),
        # the later one is not yet: the order is another
        (["02:45", "02:55"], ["00:55", "00:45"]),
        ([], []),
    ],
)
def test_success_is_the_earliest_that_the_order_allows(
    listed: list[str], moments: list[str] | None
) -> None:
    clock = AUTUMN._replace(now=utc("2026-10-25T01:40"))
    if moments is None:
        clock, moments = AUTUMN._replace(now=utc("2026-10-25T04:00")), ["02:00", "00:35", "00:05"]
    found = clock.successes(local(*listed))
    assert [moment.strftime("%H:%M") for moment in found] == moments


@pytest.mark.parametrize(
    ("listed", "moments"),
    [
        (["02:40"], ["01:40"]),
        (["02:41"], ["00:41"]),
        (["02:40", "02:20"], ["01:40", "01:20"]),
        # a newer one with an earlier time: the older one is of the first hour
        (["02:20", "02:40"], ["01:20", "00:40"]),
        (["02:50", "02:35"], ["00:50", "00:35"]),
        # listed twice, it is one
        (["02:20", "02:20"], ["01:20"]),
        (["02:20", "02:40", "02:40"], ["01:20", "00:40"]),
        # not newest first, so its order proves nothing
        (["02:05", "02:20", "02:35"], ["01:35", "01:20", "01:05"]),
    ],
)
def test_failure_is_the_latest_that_the_order_allows(listed: list[str], moments: list[str]) -> None:
    found = AUTUMN._replace(now=utc("2026-10-25T01:40")).failures(local(*listed))
    assert [moment.strftime("%H:%M") for moment in found] == moments


@pytest.mark.parametrize(
    ("moment", "ends"),
    [
        ("00:30", []),
        ("00:30", ["00:32"]),
        ("00:30", ["00:32", "00:17"]),
        ("00:30", ["01:32", "00:30"]),
        ("01:30", ["01:32", "00:31"]),
        ("01:30", ["00:45", "01:17"]),  # it is running
    ],
)
def test_start_is_the_earlier_unless_a_run_before_it_ended_later(
    moment: str, ends: list[str]
) -> None:
    [started] = local("02:30")
    assert AUTUMN.start(started, zulu(*ends)).strftime("%H:%M") == moment


def test_offset_of_the_timestamp_counts_before_the_zone() -> None:
    timestamp = datetime(2026, 10, 25, 2, 30, tzinfo=timezone(timedelta(hours=-5)))
    clock = AUTUMN._replace(now=NOW)
    assert clock.successes((timestamp,)) == clock.failures((timestamp,)) == zulu("07:30")
    assert clock.start(timestamp, ()) == clock.to_utc(timestamp) == utc("2026-10-25T07:30")


def test_month_comes_first_unless_it_is_said() -> None:
    assert Clock(NOW, UTC, 0) == Clock(NOW, UTC, 0, "mdy")
