"""The portal's own log: what is read, and which entries are shown."""

from __future__ import annotations

import contextlib
import json
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from check_cqd_integration.errors import AnswerError
from check_cqd_integration.pipeline.clock import Clock
from check_cqd_integration.pipeline.log import Entry, parse_log, select_entries, trouble_began
from check_cqd_integration.pipeline.stages import Stage

UTC = timezone.utc
NOW = datetime(2015, 3, 18, 11, tzinfo=UTC)
CLOCK = Clock(NOW, UTC, 300)
DOCUMENTED = (
    b'[{"LogCategory":"<category>","LogTime":"2015-03-18T10:28:29.10",'
    b'"LogDescription":"<log description>"}]'
)


def entry(**fields: Any) -> dict[str, Any]:
    return {
        "LogCategory": "Cube",
        "LogTime": "2015-03-18T10:28:29",
        "LogDescription": "failed",
        **fields,
    }


def body(*listed: Any) -> bytes:
    return json.dumps(listed).encode()


def test_documented_log() -> None:
    moment = datetime(2015, 3, 18, 10, 28, 29, tzinfo=UTC)
    assert parse_log(DOCUMENTED, CLOCK) == (Entry(moment, "<category>", "<log description>"),)


def test_no_entries() -> None:
    assert parse_log(b"[]", CLOCK) == ()


def test_entries_are_sorted_newest_first_and_of_one_moment_kept_in_order() -> None:
    times = ("10:00:00.5", "10:00:01", "09:00:00", "10:00:00.1")
    listed = [
        entry(LogTime=f"2015-03-18T{time}", LogCategory=str(number))
        for number, time in enumerate(times)
    ]
    assert [each.category for each in parse_log(body(*listed), CLOCK)] == ["1", "0", "3", "2"]


def test_times_are_in_the_zone_of_the_portal_however_far_ahead() -> None:
    clock = Clock(NOW, ZoneInfo("Asia/Tokyo"), 300)
    (read,) = parse_log(body(entry(LogTime="03/19/2015 10:28:29")), clock)
    assert read.moment == datetime(2015, 3, 19, 1, 28, 29, tzinfo=UTC)


def test_times_are_read_in_the_order_of_the_portal() -> None:
    (read,) = parse_log(
        body(entry(LogTime="05/03/2015 10:28:29")), CLOCK._replace(date_order="dmy")
    )
    assert read.moment == datetime(2015, 3, 5, 10, 28, 29, tzinfo=UTC)


def test_entry_whose_time_was_never_set_is_left_out() -> None:
    never, once = entry(LogTime="0001-01-01T00:00:00"), entry(LogCategory="once")
    assert [each.category for each in parse_log(body(never, once), CLOCK)] == ["once"]


def test_text_is_made_one_line() -> None:
    (read,) = parse_log(body(entry(LogCategory=" a\tb ", LogDescription="c\r\n\n d")), CLOCK)
    assert (read.category, read.description) == ("a b", "c d")


@pytest.mark.parametrize("value", [None, 5, ["x"]])
def test_text_that_is_none_is_empty(value: Any) -> None:
    (read,) = parse_log(body(entry(LogCategory=value, LogDescription=value)), CLOCK)
    assert (read.category, read.description) == ("", "")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"{}", "the answer is not a list of entries"),
        (b"[1]", "entry 0 is not an object"),
        (body(entry(), "x"), "entry 1 is not an object"),
        (b"[{}]", "LogTime is missing in the answer"),
        (body(entry(LogTime=None)), "LogTime is null, not a timestamp"),
        (body(entry(LogTime="now")), "LogTime is not a timestamp like 01/18/2015 10:30:13: 'now'"),
        (b'[{"LogTime": "2015-03-18T10:28:29"}]', "LogCategory is missing in the answer"),
        (
            body(entry(LogTime="9999-12-31T23:59:59")),
            "the timestamp 9999-12-31 23:59:59 is beyond the ends of the calendar",
        ),
        (b"[", "the answer is broken JSON at line 1 column 2: Expecting value"),
    ],
)
def test_log_that_cannot_be_read(answer: bytes, message: str) -> None:
    clock = Clock(NOW, ZoneInfo("Etc/GMT+12"), 300)
    with pytest.raises(AnswerError) as caught:
        parse_log(answer, clock)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("category", "description", "stage"),
    [
        ("CubeProcessing", "failed", "cube"),
        ("Error", "process CUBE failed", "cube"),
        ("Integration", "failed", "integration"),
        ("Error", "QoE Archive Data failed: archiving", "integration"),
        ("Error", "archived, then the cube", None),
        ("Cube", "after the integration", None),
        ("Error", "login failed", None),
        ("", "", None),
    ],
)
def test_stage_that_is_spoken_of(category: str, description: str, stage: str | None) -> None:
    assert Entry(NOW, category, description).stage == stage


def ago(*minutes: float) -> tuple[datetime, ...]:
    return tuple(NOW - timedelta(minutes=each) for each in minutes)


def stage(
    successes: tuple[float, ...], failures: tuple[float, ...], started: float | None = None
) -> Stage:
    """A stage whose timestamps are so many minutes ago."""
    start = None if started is None else NOW - timedelta(minutes=started)
    return Stage(NOW, ago(*successes), ago(*failures), start)


@pytest.mark.parametrize(
    ("began", "seen"),
    [
        (None, stage((), ())),
        (None, stage((), (), 5)),
        (60, stage((30,), (59, 70))),
        (61, stage((30,), (60, 70))),  # followed by a success four cycles ago
        (None, stage((30,), (61, 70))),  # and longer ago
        (None, stage((30,), (61, 70), 62)),
        (1000, stage((1000,), (999, 1001))),  # followed by nothing
        (1000, stage((), (999,))),
        (9, stage((20,), (5, 30), 9)),  # the run's own start
        (5, stage((20,), (5, 30), 5)),
        (6, stage((20,), (5, 30), 4)),  # that of the next run
        (6, stage((20,), (5, 8), 9)),  # of one that another run has ended in between
        (6, stage((8,), (5,), 9)),
        (9, stage((9,), (5,), 9)),  # it began when the last one had ended
    ],
)
def test_moment_from_which_the_log_may_tell_the_reason(began: float | None, seen: Stage) -> None:
    assert trouble_began(seen) == (None if began is None else NOW - timedelta(minutes=began))


def entries(*listed: tuple[float, str]) -> tuple[Entry, ...]:
    """Entries by how many minutes ago they were written, and their words."""
    return tuple(Entry(NOW - timedelta(minutes=each), words, "") for each, words in listed)


@pytest.mark.parametrize(
    ("failure", "shown"),
    [
        (4, (3, 4, 5)),  # a minute before the failure, and what followed at once
        (1, (1, 2)),
        (3.9, (2, 3, 4)),
        (0, (1,)),
        (-1, (1, 2, 3)),  # nothing was logged since
        (None, (1, 2, 3)),
    ],
)
def test_entries_around_the_trouble(failure: float | None, shown: tuple[int, ...]) -> None:
    seen = stage((), () if failure is None else (failure,))
    listed = entries(*((each, "") for each in (1, 2, 3, 4, 5, 6)))
    assert select_entries({"cube": seen}, listed, 3) == entries(*((each, "") for each in shown))


def test_each_stage_in_trouble_has_entries_of_its_own() -> None:
    troubled = {"integration": stage((50,), (10,), 11), "cube": stage((50,), (2,), 8)}
    listed = entries(
        (1, "login"), (2, "cube"), (3, "cube"), (7, "archive"), (10, "archive"), (12, "archive")
    )
    chosen = {
        1: entries((3, "cube"), (10, "archive")),
        2: entries((2, "cube"), (3, "cube"), (7, "archive"), (10, "archive")),
        3: entries((1, "login"), (2, "cube"), (3, "cube"), (7, "archive"), (10, "archive")),
    }
    for count, expected in chosen.items():
        assert select_entries(troubled, listed, count) == expected


def test_entries_of_the_other_stage_only_fill_up() -> None:
    listed = entries((1, "cube"), (3, "archive"), (4, ""), (5, "archive"))
    troubled = {"cube": stage((), (2,), 5)}
    chosen = [(1, "cube"), (4, ""), (5, "archive"), (3, "archive")]
    for count in range(1, 5):
        best = [(4, ""), (1, "cube"), (5, "archive"), (3, "archive")][:count]
        assert select_entries(troubled, listed, count) == entries(*sorted(best))
    assert select_entries({"cube": stage((9,), ())}, listed, 2) == entries(*sorted(chosen[:2]))


def test_entries_of_one_moment_and_of_the_same_words_are_all_shown() -> None:
    listed = entries((1, "cube"), (1, "cube"), (1, "archive"))
    assert select_entries({"cube": stage((), (1,))}, listed, 3) == listed


texts = st.one_of(st.text(), st.none(), st.integers())
timestamps = st.one_of(st.just("2015-03-18T10:28:29.10"), st.datetimes().map(str), st.text())
nearly = st.fixed_dictionaries(
    {"LogCategory": texts, "LogTime": timestamps}, optional={"LogDescription": texts}
)


@given(st.one_of(st.binary(), st.lists(nearly, max_size=4).map(json.dumps).map(str.encode)))
def test_anything_is_read_or_refused(answer: bytes) -> None:
    with contextlib.suppress(AnswerError):
        read = parse_log(answer, CLOCK)
        assert sorted(read, key=lambda each: each.moment, reverse=True) == list(read)
        assert all(" ".join(each.description.split()) == each.description for each in read)
