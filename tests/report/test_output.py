"""The last gate before standard output."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from check_cqd_integration.report.output import clean, first_line


@pytest.mark.parametrize(
    ("cleaned", "text"),
    [
        ("", ""),
        ("a/b (c) 'd' $(e) ~!", "a|b <c> 'd' $(e) ~!"),
        ("a?b?c?d?e?", "a\nb\rc\td\0e\x7f"),
        ("?[31mred", "\x1b[31mred"),
        ("M?nchen ??", "M\xfcnchen \N{PILE OF POO}\ud800"),
        ("??", "\x80\u2028"),
        ("[OK] a {OK} b", "[OK] a [OK] b"),
        ("{OK}", "(OK)"),
        ("{OK}", "<OK>"),
        (" {OK}{WARNING}", " [OK](WARNING)"),
        ("a {CRITICAL} {UNKNOWN}", "a [CRITICAL) <UNKNOWN]"),
        ("a {UP} {DOWN} {PENDING}", "a [UP] [DOWN] [PENDING]"),
        ("[{OK}]", "[[OK]]"),
        ("[ok] a [ok] [OK ] OK] [NOK]", "[ok] a [ok] [OK ] OK] [NOK]"),
    ],
    ids=ascii,
)
def test_clean(cleaned: str, text: str) -> None:
    assert clean(text) == cleaned


@given(st.text(st.characters(codec=None)))
def test_clean_is_what_the_plugin_api_allows(text: str) -> None:
    cleaned = clean(text)
    assert re.fullmatch(r"[ -;=?-{}~]*", cleaned)
    assert len(cleaned) == len(text)
    assert clean(cleaned) == cleaned


@pytest.mark.parametrize(
    ("line", "state", "perfdata"),
    [
        ("CQD OK - fine", "ok", []),
        ("CQD WARNING - fine | a=1", "warning", ["a=1"]),
        ("CQD UNKNOWN - fine | a=1 b=2s;3;;0", "unknown", ["a=1", "b=2s;3;;0"]),
    ],
)
def test_first_line(line: str, state: str, perfdata: list[str]) -> None:
    assert first_line(state, "fine", perfdata) == line


def test_text_of_the_first_line_is_cleaned() -> None:
    assert first_line("ok", "a|b\nc", ["x=1"]) == "CQD OK - a/b?c | x=1"
    assert first_line("ok", "[CRITICAL] a", []) == "CQD OK - {CRITICAL} a"


@pytest.mark.parametrize("perfdata", [[], ["a=1"]])
def test_text_of_the_first_line_is_cut(perfdata: list[str]) -> None:
    rest = " | a=1" if perfdata else ""
    assert first_line("ok", "x" * 191, perfdata) == f"CQD OK - {'x' * 191}{rest}"
    assert first_line("ok", "x" * 192, perfdata) == f"CQD OK - {'x' * 188}...{rest}"
    assert first_line("critical", "x" * 10_000, perfdata) == (
        f"CQD CRITICAL - {'x' * 182}...{rest}"
    )
