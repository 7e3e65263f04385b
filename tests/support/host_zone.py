"""The zone of this host, for a test."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def host_zone(rule: str) -> Iterator[None]:
    """Let ``TZ`` hold a rule, and the C library know; skips the test on Windows, which cannot."""
    if not hasattr(time, "tzset"):
        pytest.skip("the C library of Windows reads no such rule")
    before = os.environ.get("TZ")
    os.environ["TZ"] = rule
    time.tzset()
    try:
        yield
    finally:
        del os.environ["TZ"]
        if before is not None:
            os.environ["TZ"] = before
        time.tzset()
