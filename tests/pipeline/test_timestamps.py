"""What .NET may write for a moment, read exactly or not at all."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from expected import Run
from hypothesis import given
from hypothesis import strategies as st

from check_cqd_integration.errors import AnswerError
from check_cqd_integration.pipeline.timestamps import DATE_ORDERS, parse_timestamp

MOMENT = datetime(2015, 1, 18, 10, 30, 13)


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("01/18/2015 10:30:13", "mdy"),
        ("01.18.2015 10:30:13", "mdy"),  # German, Finnish: the separators alone
        ("01-18-2015 10.30.13", "mdy"),  # Danish
        ("1/18/2015 10:30:13 AM", "mdy"),  # without a format, American
        ("18/01/2015 10:30:13", "dmy"),  # without a format, British
        ("18.1.2015 10.30.13", "dmy"),
        ("2015-01-18T10:30:13", "mdy"),
        ("2015-01-18T10:30:13.1234567", "dmy"),
    ],
)
def test_form_of_a_culture(text: str, order: str) -> None:
    assert parse_timestamp("X", text, order) == MOMENT


@pytest.mark.parametrize("order", DATE_ORDERS)
def test_december(order: str) -> None:
    december = datetime(2015, 12, 12, 10, 30, 13)
    assert parse_timestamp("X", "12/12/2015 10:30:13", order) == december


@pytest.mark.parametrize(
    ("hour", "text"),
    [
        (0, "12:30:13 AM"),
        (1, "1:30:13 AM"),
        (11, "11:30:13 AM"),
        (12, "12:30:13 PM"),
        (13, "1:30:13 PM"),
        (23, "11:30:13 PM"),
        (9, "9:30:13"),
    ],
)
def test_hour(hour: int, text: str) -> None:
    assert parse_timestamp("X", f"1/18/2015 {text}") == MOMENT.replace(hour=hour)


@pytest.mark.parametrize(
    ("minutes", "text"),
    [(0, "Z"), (0, "+00:00"), (60, "+01:00"), (-480, "-08:00"), (345, "+05:45"), (0, ".1234567Z")],
)
def test_offset(minutes: int, text: str) -> None:
    read = parse_timestamp("X", f"2015-01-18T10:30:13{text}")
    assert read == MOMENT.replace(tzinfo=timezone(timedelta(minutes=minutes)))


@pytest.mark.parametrize(
    "text",
    [
        "01/01/0001 00:00:00",
        "01.01.0001 00:00:00",
        "1/1/0001 12:00:00 AM",
        "0001-01-01T00:00:00",
        "0001-01-01T00:00:00.0000000Z",
        "0001-01-01T00:00:00-08:00",
    ],
)
@pytest.mark.parametrize("order", DATE_ORDERS)
def test_never_set(text: str, order: str) -> None:
    assert parse_timestamp("X", text, order) is None


@pytest.mark.parametrize(
    ("text", "order", "other"),
    [
        ("18/01/2015 10:30:13", "mdy", "dmy"),
        ("13.12.2015 10:30:13", "mdy", "dmy"),
        ("01/18/2015 10:30:13", "dmy", "mdy"),
        ("12-13-2015 10.30.13", "dmy", "mdy"),
    ],
)
def test_first_number_that_cannot_be_a_month(text: str, order: str, other: str) -> None:
    with pytest.raises(AnswerError) as caught:
        parse_timestamp("X[0]", text, order)
    month = text[:2] if order == "mdy" else text[3:5]
    assert str(caught.value) == f"X[0] has no month {month}: '{text}'; is it --date-order {other}?"


@pytest.mark.parametrize(
    ("order", "example"), [("mdy", "01/18/2015 10:30:13"), ("dmy", "18/01/2015 10:30:13")]
)
@pytest.mark.parametrize(
    "text",
    [
        "13/13/2015 10:30:13",
        "31/31/2015 10:30:13",
        "0/10/2015 10:30:13",
        "01/18.2015 10:30:13",
        "01/18/2015 10:30.13",
        "01/18/15 10:30:13",
        "001/18/2015 10:30:13",
        "01/18/2015 10:3:13",
        "1/10/2015 0:30:13 AM",
        "1/10/2015 13:30:13 PM",
        "1/18/2015 10:30:13 am",
        "1/18/2015 10:30:13AM",
        "01 18 2015 10:30:13",
        "2015-01-18T10:30:13+24:00",
        "2015-01-18T10:30:13+01:60",
        "2015-01-18T10:30:13.\u0663",
        "2015-01-18T10:30:13 Z",
        "2015-1-18T10:30:13",
        "2015-01-18T24:00:00",
        "0\u0661/18/2015 10:30:13",  # a digit of another script
        "2015-01-18T10:30:1\u0663",
    ],
)
def test_no_form(text: str, order: str, example: str) -> None:
    with pytest.raises(AnswerError) as caught:
        parse_timestamp("X", text, order)
    assert str(caught.value) == f"X is not a timestamp like {example}: '{text}'"


def test_month_comes_first_if_nothing_is_said() -> None:
    with pytest.raises(AnswerError) as caught:
        parse_timestamp("X", "?")
    assert str(caught.value) == "X is not a timestamp like 01/18/2015 10:30:13: '?'"


def written(moment: datetime, order: str) -> Iterator[str]:
    """Yield all that .NET may write for a moment."""
    yield moment.isoformat()
    if moment.tzinfo:
        return
    for digits in ("{:02}", "{:}"):
        day, month, hour, half_hour = (
            digits.format(number)
            for number in (moment.day, moment.month, moment.hour, moment.hour % 12 or 12)
        )
        first, second = (month, day) if order == "mdy" else (day, month)
        for dash in "/.-":
            date = f"{first}{dash}{second}{dash}{moment.year:04}"
            for colon in ":.":
                rest = f"{colon}{moment.minute:02}{colon}{moment.second:02}"
                yield f"{date} {hour}{rest}"
                yield f"{date} {half_hour}{rest} {'AP'[moment.hour >= 12]}M"


moments = st.datetimes(min_value=datetime(1, 1, 2)).map(lambda each: each.replace(microsecond=0))
orders = st.sampled_from(DATE_ORDERS)


@given(moments, orders)
def test_every_form_is_read_as_the_moment_it_was_written_for(moment: datetime, order: str) -> None:
    for text in written(moment, order):
        assert parse_timestamp("X", text, order) == moment


NUMBER = "[0-9]{1,2}"
TEXTS = rf"\A{NUMBER}([/.-]){NUMBER}\1[0-9]{{4}} {NUMBER}([:.])[0-5][0-9]\2[0-5][0-9]( [AP]M)?\Z"


def without_zeros(text: str) -> str:
    return re.sub(r"\b0+(?=[0-9])", "", text)


@given(st.from_regex(re.compile(TEXTS, re.ASCII)), orders)
def test_what_is_read_would_be_written_so(text: str, order: str) -> None:
    """No text is read as a moment for which .NET would have written another one."""
    with contextlib.suppress(AnswerError):
        moment = parse_timestamp("X", text, order) or datetime.min
        assert without_zeros(text) in map(without_zeros, written(moment, order))


@given(moments, orders)
def test_order_of_the_date_is_never_guessed(moment: datetime, order: str) -> None:
    other = next(each for each in DATE_ORDERS if each != order)
    for text in written(moment, order):
        try:
            read = parse_timestamp("X", text, other)
        except AnswerError:
            assert moment.day > 12
        else:
            swapped = moment if "T" in text else moment.replace(month=moment.day, day=moment.month)
            assert read in (swapped, None)


def test_option_for_the_order(run: Run, tmp_path: Path) -> None:
    saved = tmp_path / "status.json"
    saved.write_text(
        '{"LastSuccessIntegrations": ["24.11.2026 10:30:13"], "LastFailedIntegrations": null, '
        '"LastDataIntegrationStart": "01.01.0001 00:00:00", "LastSuccessCubeProcessings": '
        '["24.11.2026 10:31:40"], "LastFailedCubeProcessings": [], "LastCubeProcessingStart": null}'
    )
    options = ("--input", str(saved), "--timezone", "UTC", "--now", "2026-11-24T10:35:00Z")
    assert run(*options, "--date-order", "dmy")[0] == 0
    assert run(*options) == (
        3,
        "CQD UNKNOWN - LastSuccessIntegrations[0] has no month 24: '24.11.2026 10:30:13'; is it "
        "--date-order dmy?\n",
    )
