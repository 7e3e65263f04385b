"""Durations as people write them, and ranges of them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nagiosplugin import Range

from check_cqd_integration.thresholds import (
    NO_LIMITS,
    comes_before,
    compact,
    format_range,
    in_words,
    is_looser,
    limit_in_words,
    parse_count,
    parse_duration,
    parse_range,
)


@st.composite
def small_ranges(draw: st.DrawFn) -> Range:
    low = draw(st.sampled_from(["~", 0, 1, 2, 5, 8]))
    high = draw(st.sampled_from(["", 0, 1, 2, 3, 6, 8, 9]))
    if isinstance(low, int) and isinstance(high, int):
        low, high = min(low, high), max(low, high)
    return Range(f"{draw(st.sampled_from(['', '@']))}{low}:{high}")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0"),
        (90, "90"),
        (90, "90s"),
        (90, "0090"),
        (1800, "30m"),
        (5400, "1h30m"),
        (5400, "90m"),
        (172800, "2d"),
        (604800, "1w"),
        (694861, "1w1d1h1m1s"),
        (604801, "1w1s"),
        (999999999999, "999999999999"),
    ],
)
def test_duration(seconds: int, text: str) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "90 ", " 90", "90\n", "30m 5s"),
        *("-1", "+1", "1.5h", "1e3", "1_0", "nan", "inf"),
        *("s", "h30", "1H", "1y", "1m1h", "1h1h", "1h30"),
        *("\N{FULLWIDTH DIGIT ONE}", "\N{ARABIC-INDIC DIGIT THREE}m"),
        *("1" * 13, "1" * 13 + "s"),
    ],
    ids=ascii,
)
def test_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not") as caught:
        parse_duration(text)
    assert str(caught.value) == (
        f"{text!r} is not a duration such as 90, 90s, 30m, 1h30m, 2d or 1w"
    )


@pytest.mark.parametrize(("count", "text"), [(0, "0"), (2, "2"), (7, "007")])
def test_count(count: int, text: str) -> None:
    assert parse_count(text) == count


@pytest.mark.parametrize(
    "text",
    ["", "-1", "1.0", "2s", "1h", "nan", "two", "\N{FULLWIDTH DIGIT ONE}", "1" * 13],
    ids=ascii,
)
def test_no_count(text: str) -> None:
    with pytest.raises(ValueError, match="is not") as caught:
        parse_count(text)
    assert str(caught.value) == f"{text!r} is not a whole number such as 0 or 2"


@pytest.mark.parametrize(
    ("plain", "text"),
    [
        ("0:90", "90"),
        ("0:1800", "30m"),
        ("0:0", "0"),
        ("1800:", "30m:"),
        ("600:1200", "10m:20m"),
        ("600:600", "10m:600"),
        ("~:3600", "~:1h"),
        ("~:", "~:"),
        ("@600:1200", "@10m:20m"),
        ("@0:1800", "@30m"),
        ("@1800:", "@30m:"),
        ("@~:3600", "@~:1h"),
    ],
)
def test_range(plain: str, text: str) -> None:
    assert parse_range(text) == Range(plain)


def test_range_of_counts() -> None:
    assert parse_range("1:2", parse_count) == Range("1:2")
    with pytest.raises(ValueError, match="'1s' is not a whole number such as 0 or 2"):
        parse_range("1s", parse_count)


@pytest.mark.parametrize("text", ["", ":", ":30m", "@", "@:", "@:30m"])
def test_missing_end(text: str) -> None:
    with pytest.raises(ValueError, match="is not") as caught:
        parse_range(text)
    assert str(caught.value) == (
        f"{text!r} is not a range such as 30m, 30m:, 10m:20m, ~:1h or @10m:20m"
    )


@pytest.mark.parametrize(
    ("culprit", "text"),
    [
        ("~", "~"),
        ("~", "30m:~"),
        ("~", "@~"),
        ("nan", "nan"),
        ("inf", "30m:inf"),
        ("-1", "-1:5"),
        ("1:2", "1:2:3"),
        ("@1", "@@1"),
        ("@1", "0:@1"),
        ("30m ", "30m :"),
    ],
)
def test_unreadable_end(culprit: str, text: str) -> None:
    with pytest.raises(ValueError, match="is not") as caught:
        parse_range(text)
    assert str(caught.value) == (
        f"{culprit!r} is not a duration such as 90, 90s, 30m, 1h30m, 2d or 1w"
    )


def test_start_greater_than_end() -> None:
    with pytest.raises(ValueError, match="start 1200 must not be greater than end 600"):
        parse_range("20m:10m")


@pytest.mark.parametrize(
    ("inside", "text", "value"),
    [
        (True, "30m", 0),
        (True, "30m", 1800),
        (False, "30m", 1801),
        (False, "30m:", 1799),
        (True, "30m:", 1800),
        (True, "30m:", 10**12),
        (False, "10m:20m", 599),
        (True, "10m:20m", 600),
        (True, "10m:20m", 1200),
        (False, "10m:20m", 1201),
        (True, "@10m:20m", 599),
        (False, "@10m:20m", 600),
        (False, "@10m:20m", 1200),
        (True, "@10m:20m", 1201),
        (True, "0", 0),
        (False, "0", 1),
    ],
)
def test_ends_belong_to_the_range(inside: bool, text: str, value: int) -> None:
    assert parse_range(text).match(value) is inside


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("0s", 0),
        ("59s", 59),
        ("1m", 60),
        ("1m 1s", 61),
        ("59m 59s", 3599),
        ("1h", 3600),
        ("1h 59s", 3659),
        ("2h 14m", 8040),
        ("23h 59m", 86399),
        ("1d 59m", 86400 + 3599),
        ("1d 1h", 86400 + 3600),
        ("8d", 8 * 86400),
        ("2912126d 23h", 2912126 * 86400 + 86399),
    ],
)
def test_in_words(words: str, seconds: int) -> None:
    assert in_words(seconds) == words


@given(st.integers(0, 10**11))
def test_words_are_the_two_largest_units_rounded_down(seconds: int) -> None:
    compacted = compact(seconds)
    assert parse_duration(compacted) == seconds
    largest, *smaller = re.findall("[0-9]+[dhms]", compacted)
    assert in_words(seconds) == " ".join([largest, *smaller[:1]])


@pytest.mark.parametrize(
    "text",
    [
        "0s",
        "30m",
        "30m:",
        "0s:",
        "10m:20m",
        "~:1h",
        "~:",
        "@10m:20m",
        "@30m",
        "@1d1h1m1s:",
        "@~:1h",
    ],
)
def test_format_range(text: str) -> None:
    assert format_range(parse_range(text)) == text


@given(small_ranges())
def test_formatted_range_reads_back(limit: Range) -> None:
    assert parse_range(format_range(limit)) == limit
    assert parse_range(format_range(limit, str), parse_count) == limit


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("limit 30m", "30m"),
        ("limit 0s", "0"),
        ("within 30m", "30m:"),
        ("within 1s", "1:"),
        ("limit 1h", "~:1h"),
        ("limit 10m:20m", "10m:20m"),
        ("limit @10m:20m", "@10m:20m"),
        ("limit @20m", "@20m"),
        ("limit @0:5m", "@0:5m"),
        ("limit @0:5m", "@0s:300"),
        ("limit @5m", "@300"),
        ("limit @0:", "@0:"),
        ("limit 5m", "0:5m"),
        ("limit @10m:", "@10m:"),
        ("limit @~:1h", "@~:1h"),
        ("limit 7d", "1w"),
        ("limit 1d1h1m1s", "1d1h1m1s"),
    ],
)
def test_limit_in_words(words: str, text: str) -> None:
    assert limit_in_words(parse_range(text)) == words


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("limit 0", "0"),
        ("limit 2", "2"),
        ("limit 2:", "2:"),
        ("limit 1:3", "1:3"),
        ("limit @1:3", "@1:3"),
        ("limit @0:3", "@0:3"),
        ("limit @3", "@3"),
    ],
)
def test_limit_of_counts(words: str, text: str) -> None:
    assert limit_in_words(parse_range(text, parse_count), str) == words


@pytest.mark.parametrize(
    ("looser", "warning", "critical"),
    [
        (False, "30m", "1h"),
        (False, "30m", "30m"),
        (True, "1h", "30m"),
        (True, "1801", "1800"),
        (False, "30m:", "20m:"),
        (True, "20m:", "30m:"),
        (True, "30m:", "1h"),
        (False, "10m:20m", "5m:30m"),
        (True, "10m:20m", "5m:15m"),
        (False, "@10m:20m", "@12m:15m"),
        (True, "@12m:15m", "@10m:20m"),
        (True, "~:", "1h"),
        (True, "~:", "@~:"),
        (False, "1h", "~:"),
        (False, "0", "@1:"),
        (True, "0", "@~:0"),
        (True, "@1:", "1:"),  # by 0 only
        (True, "@5", "7:"),  # by 6 only
    ],
)
def test_is_looser(looser: bool, warning: str, critical: str) -> None:
    assert is_looser(parse_range(warning), parse_range(critical)) is looser


@given(small_ranges(), small_ranges())
def test_is_looser_is_what_trying_all_values_says(warning: Range, critical: Range) -> None:
    every = range(12)
    assert is_looser(warning, critical) == any(
        not critical.match(value) and warning.match(value) for value in every
    )


@pytest.mark.parametrize(
    ("before", "warning", "critical"),
    [
        (True, "30m", "1h"),
        (False, "30m", "30m"),
        (False, "1h", "30m"),
        (True, "30m:", "20m:"),
        (False, "20m:", "30m:"),
        (True, "30m", "10m:2h"),
        (True, "30m", "~:"),
        (False, "~:", "1h"),
    ],
)
def test_comes_before(before: bool, warning: str, critical: str) -> None:
    assert comes_before(parse_range(warning), parse_range(critical)) is before


def test_no_limits_hold_everything() -> None:
    assert [limit.match(10**12) for limit in NO_LIMITS] == [True, True]
