"""Something that hangs, and a ``-t`` that is up as soon as it does: neither is waited for."""

from __future__ import annotations

import threading
import time


class Hang:
    """To be called in place of what hangs, until ``over`` is set; takes and returns anything."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self._has_begun = False

    def __call__(self, *_: object, **__: object) -> None:
        assert threading.current_thread() is not threading.main_thread(), "no limit is around this"
        self._has_begun = True
        self.over.wait(60)

    def monotonic(self) -> float:
        """Return the time of a clock that makes a leap of a day when this begins to hang."""
        return time.monotonic() + 86400 * self._has_begun
