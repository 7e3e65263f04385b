"""The limit of ``-t``, kept around whatever may hang.

A signal cannot interrupt a name lookup, and does not exist on Windows; a socket's timeout starts
anew with every byte. So the work is done in a daemon thread, and the thread is left to its fate
when the time is up.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from ..errors import PluginError, PortalError, UnreachableError, UsageError

T = TypeVar("T")
_WAIT = 0.1
"""Seconds of one wait. A signal that comes just before it is seen only when it ends; so is any on
Windows, where nothing interrupts a wait for a thread.
"""
_STARTING: tuple[str, type[PluginError]] = ("starting on this host, which may be busy", UsageError)
"""Until somebody is waited for."""


class Deadline:
    """A limit in seconds that began when this was made, and the step that is being done.

    ``if_nobody_there`` is a sentence for who finds nobody to connect to.
    """

    def __init__(self, seconds: float, if_nobody_there: str = "") -> None:
        self.seconds = seconds
        self.if_nobody_there = if_nobody_there
        self.left_work = False
        """Whether a thread was left to its fate: what it works with must not be touched then."""
        self._end = time.monotonic() + seconds
        self._doing = _STARTING  # one attribute, as another thread reads it

    @property
    def step(self) -> str:
        """What is being done."""
        return self._doing[0]

    def begin(self, step: str) -> None:
        """Note a step on the way to the portal.

        Raises ``passed()``, which names the step before, if the time is over: a host that was busy,
        or asleep, must not go on to blame the portal.
        """
        self._raise_if_over()
        self._doing = step, UnreachableError

    def remaining(self) -> float:
        """Return the seconds left, at least a millisecond: zero would mean "no limit" to some."""
        return max(self._end - time.monotonic(), 0.001)

    @property
    def is_over(self) -> bool:
        """Tell whether the time is up, or all but: a timer may be early by a clock's tick."""
        return self.remaining() < 0.05

    @contextlib.contextmanager
    def waiting_for_another(self, step: str) -> Iterator[None]:
        """Note a step in which not the portal is waited for; the step before comes after it.

        Raises ``passed()`` at its end if the time is over then.
        """
        before, self._doing = self._doing, (step, PortalError)
        try:
            yield
            self._raise_if_over()
        finally:
            # The step at which the time ran out stays: another thread is about to tell it.
            self._doing = before if time.monotonic() < self._end else self._doing

    def passed(self) -> PluginError:
        """Return the error that says at which step the time ran out, and whose it is.

        The portal's, another's that is waited for, or this host's own before anything was asked.
        """
        step, error = self._doing
        told = f"{step}: no answer within {self.seconds:g}s (-t)"
        if self.if_nobody_there and step.startswith("connecting to "):
            told = f"{told}.{self.if_nobody_there}"
        return error(told)

    def run(self, work: Callable[[], T]) -> T:
        """Return what ``work`` returns or raise what it raises, or ``passed()`` in time.

        If the time is up already, nothing is begun. Raises PluginError, which names the step, if
        the process is interrupted meanwhile.
        """
        self._raise_if_over()
        results: list[T] = []
        errors: list[BaseException] = []

        def worker() -> None:
            try:
                results.append(work())
            except BaseException as error:  # raised again where it is awaited
                errors.append(error)

        thread = threading.Thread(target=worker, daemon=True)
        try:
            thread.start()
            while thread.is_alive() and time.monotonic() < self._end:
                thread.join(min(self.remaining(), _WAIT))
        except RuntimeError as error:
            raise UsageError("this host lets the check start no thread") from error
        except KeyboardInterrupt as error:
            self.left_work = True
            raise PluginError(f"{self.step}: interrupted") from error
        if errors:
            raise errors[0]
        if results:
            self._doing = _STARTING
            return results[0]
        self.left_work = True
        raise self.passed()

    def _raise_if_over(self) -> None:
        if time.monotonic() >= self._end:
            raise self.passed()
