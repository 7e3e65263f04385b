"""The limit around whatever may hang. No test waits longer than a millisecond for it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import SimpleNamespace

import pytest

from check_cqd_integration.errors import (
    AnswerError,
    PluginError,
    PortalError,
    UnreachableError,
    UsageError,
)
from check_cqd_integration.portal import deadline
from check_cqd_integration.portal.deadline import Deadline


@pytest.fixture
def hang() -> Iterator[Callable[[], bool]]:
    """Work that ends with the test."""
    end = threading.Event()
    yield end.wait
    end.set()


@pytest.mark.parametrize("seconds", [10, 0.5])
def test_remaining(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(monotonic=lambda: 1000.0)
    monkeypatch.setattr(deadline, "time", clock)
    limit = Deadline(seconds)
    assert limit.remaining() == seconds
    clock.monotonic = lambda: 1000.25
    assert limit.remaining() == seconds - 0.25
    assert not limit.is_over
    clock.monotonic = lambda: 1000 + seconds
    assert limit.remaining() == 0.001
    assert limit.is_over
    clock.monotonic = lambda: 2000.0
    assert limit.remaining() == 0.001


def test_over_in_the_last_50_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(monotonic=lambda: 0.0)
    monkeypatch.setattr(deadline, "time", clock)
    limit = Deadline(0.05)
    assert not limit.is_over
    clock.monotonic = lambda: 0.001
    assert limit.is_over


@pytest.mark.parametrize(
    ("words", "seconds"), [("10s", 10.0), ("0.5s", 0.5), ("2.25s", 2.25), ("3600s", 3600)]
)
def test_passed_names_step_and_limit(words: str, seconds: float) -> None:
    limit = Deadline(seconds)
    limit.begin("looking up cqd.example")
    assert str(limit.passed()) == f"looking up cqd.example: no answer within {words} (-t)"


@pytest.mark.parametrize(
    ("step", "sentence", "words"),
    [
        ("connecting to cqd.example:443", " Is it there?", " (-t). Is it there?"),
        ("connecting to cqd.example:443", "", " (-t)"),
        ("looking up cqd.example", " Is it there?", " (-t)"),
    ],
)
def test_who_finds_nobody_is_told_what_may_be_wrong(step: str, sentence: str, words: str) -> None:
    limit = Deadline(10, sentence) if sentence else Deadline(10)
    limit.begin(step)
    assert str(limit.passed()) == f"{step}: no answer within 10s{words}"


def test_nothing_is_begun_and_nobody_else_is_blamed_if_starting_took_all_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on a host that has just booted, and starts a hundred checks at once."""
    monkeypatch.setattr(deadline, "time", SimpleNamespace(monotonic=lambda: 7.0))
    limit, begun = Deadline(0), threading.Event()
    with pytest.raises(UsageError) as caught:
        limit.run(begun.set)
    assert str(caught.value) == (
        "starting on this host, which may be busy: no answer within 0s (-t)"
    )
    assert not begun.is_set()
    assert limit.left_work is False


@pytest.mark.parametrize("error", [None, AnswerError("broken")])
def test_another_than_the_portal_is_to_blame_while_it_is_waited_for(
    error: AnswerError | None,
) -> None:
    limit = Deadline(10)
    limit.begin("logging in")
    with suppress(AnswerError), limit.waiting_for_another("asking the KDC"):
        other = limit.passed()
        if error:
            raise error
    assert (type(other), str(other)) == (PortalError, "asking the KDC: no answer within 10s (-t)")
    portal = limit.passed()
    assert (type(portal), str(portal)) == (
        UnreachableError,
        "logging in: no answer within 10s (-t)",
    )


def test_portal_is_not_to_blame_before_it_is_asked() -> None:
    limit = Deadline(10)
    with limit.waiting_for_another("reading certificates"):
        pass
    assert type(limit.passed()) is UsageError
    limit.begin("looking up cqd.example")
    assert type(limit.passed()) is UnreachableError


STARTING = "starting on this host, which may be busy: no answer within 10s (-t)"


def test_nothing_is_begun_once_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a host that was asleep: it must not wake up and blame the portal."""
    clock = SimpleNamespace(monotonic=lambda: 0.0)
    monkeypatch.setattr(deadline, "time", clock)
    limit = Deadline(10)
    clock.monotonic = lambda: 10.0
    with pytest.raises(UsageError, match=f"^{re.escape(STARTING)}$"):
        limit.begin("looking up cqd.example")
    assert str(limit.passed()) == STARTING


def test_time_that_is_over_while_another_was_waited_for_is_not_the_portals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = SimpleNamespace(monotonic=lambda: 0.0)
    monkeypatch.setattr(deadline, "time", clock)
    limit = Deadline(10)
    limit.begin("logging in")
    asking = "asking the KDC"
    with pytest.raises(PortalError, match=f"^{asking}: "), limit.waiting_for_another(asking):
        clock.monotonic = lambda: 10.0
    # Nor does the thread that waits, and tells it, look a moment too late.
    assert type(limit.passed()) is PortalError


def test_time_that_is_over_between_two_works_is_not_that_of_the_former() -> None:
    limit = Deadline(10)
    limit.run(lambda: limit.begin("reading the answer"))
    assert str(limit.passed()) == STARTING


@pytest.mark.parametrize("result", [b"answer", None, 0])
def test_result_in_time(result: object) -> None:
    limit = Deadline(10)
    assert limit.run(lambda: result) is result
    assert limit.left_work is False


@pytest.mark.parametrize("error", [AnswerError("broken"), SystemExit(2), KeyboardInterrupt()])
def test_error_in_time(error: BaseException) -> None:
    def fail() -> None:
        raise error

    limit = Deadline(10)
    with pytest.raises(type(error)) as caught:
        limit.run(fail)
    assert caught.value is error
    assert limit.left_work is False


def test_work_that_hangs_is_left(hang: Callable[[], bool], monkeypatch: pytest.MonkeyPatch) -> None:
    def work() -> bool:
        with limit.waiting_for_another("reading certificates"):
            pass
        limit.begin("looking up cqd.example")
        begun.set()
        return hang()

    def join(_: threading.Thread, seconds: float) -> None:
        assert begun.wait(10)
        clock.monotonic = lambda: seconds

    begun = threading.Event()
    clock = SimpleNamespace(monotonic=lambda: 0.0)
    monkeypatch.setattr(deadline, "time", clock)
    limit = Deadline(0.05)
    monkeypatch.setattr(threading.Thread, "join", join)
    with pytest.raises(UnreachableError) as caught:
        limit.run(work)
    assert limit.left_work is True
    assert str(caught.value) == "looking up cqd.example: no answer within 0.05s (-t)"


def test_thread_that_is_left_does_not_keep_the_process() -> None:
    assert Deadline(10).run(lambda: threading.current_thread().daemon)


def test_interrupt_while_waiting_names_the_step(
    hang: Callable[[], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    limit = Deadline(10)
    limit.begin("looking up cqd.example")
    monkeypatch.setattr(threading.Thread, "join", interrupted)
    with pytest.raises(PluginError, match=r"^looking up cqd\.example: interrupted$"):
        limit.run(hang)
    assert limit.left_work is True


def test_wait_is_cut_so_that_no_signal_is_missed(
    hang: Callable[[], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that comes just before Python begins to wait does not end the wait; on Windows, none."""

    def join(_: threading.Thread, seconds: float) -> None:
        waits.append(seconds)
        clock.monotonic = lambda: sum(waits)

    waits: list[float] = []
    clock = SimpleNamespace(monotonic=lambda: 0.0)
    monkeypatch.setattr(deadline, "time", clock)
    limit = Deadline(0.25)
    monkeypatch.setattr(threading.Thread, "join", join)
    with pytest.raises(UsageError):
        limit.run(hang)
    assert waits == pytest.approx([0.1, 0.1, 0.05])


def test_host_without_room_for_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    with pytest.raises(UsageError, match=r"^this host lets the check start no thread$"):
        Deadline(10).run(lambda: None)
