"""The words of errors of the operating system: those of Linux, wherever the check runs."""

from __future__ import annotations

import errno
import os
import sys

import pytest

from check_cqd_integration import errors
from check_cqd_integration.errors import AnswerError, Said, words_of


@pytest.mark.skipif(sys.platform != "linux", reason="they are the words of Linux")
def test_words_are_those_of_linux() -> None:
    for number, words in errors._WORDS.items():
        assert os.strerror(number) == words


def test_words_in_the_language_of_windows_are_not_told() -> None:
    error = OSError(errno.ENOENT, "Das System kann die angegebene Datei nicht finden")
    assert words_of(error) == "No such file or directory"


def test_number_that_the_c_library_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "strerror", lambda number: "Unknown error")
    assert words_of(OSError(errno.ENETUNREACH, "")) == "Network is unreachable"
    assert words_of(OSError(10014, "")) == "Unknown error 10014"


def test_error_without_a_number() -> None:
    assert words_of(ValueError("embedded null byte")) == "embedded null byte"
    assert words_of(OSError("no number")) == "no number"


@pytest.mark.parametrize(
    ("told", "length"), [(f"'{39 * 'x'}'", 39), (f"'{40 * 'x'}'", 40), (f"'{40 * 'x'}...'", 41)]
)
def test_text_of_the_portal_is_quoted_and_cut(told: str, length: int) -> None:
    assert str(AnswerError("it says ", Said(length * "x"), "!")) == f"it says {told}!"
