"""What the plugin prints of the documented answer, and how tests ask for it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timezone

from portal_simulator import STATUS_PATH, PortalSimulator

Run = Callable[..., "tuple[int, str]"]
"""The fixture ``run``: options in, exit code and whole standard output out."""

DOCUMENTED_MOMENT = datetime(2015, 1, 18, 10, 31, tzinfo=timezone.utc)
"""A moment that makes the documented answer a current one."""
AT_DOCUMENTED_MOMENT = ("--now", "2015-01-18T10:31:00Z", "--timezone", "UTC")
REPLAY = (*AT_DOCUMENTED_MOMENT, "--input")
DOCUMENTED_PERFDATA = (
    "cube_age=69260s;3600;7200;0 cube_duration=42s;;;0 cube_last_failure=2s;1800:;;0 "
    "cube_running=0s;7200;;0 cube_streak=2;0;2;0 data_age=69343s;;;0 "
    "integration_age=47s;1800;3600;0 integration_running=0s;7200;;0 integration_streak=0;0;2;0"
)
DOCUMENTED_LINE = (
    "CQD CRITICAL - cube: last success 19h 14m ago (limit 2h), 2 failures since (limit 0), newest "
    "failure 2s ago (within 30m) / integration ok, last success 47s ago | "
    f"{DOCUMENTED_PERFDATA}\n"
)

OVER_THE_NETWORK = DOCUMENTED_LINE.replace(
    DOCUMENTED_PERFDATA, f"clock_skew=0s;-300:300 {DOCUMENTED_PERFDATA} response_time=0.001s;;;0"
)
WITHOUT_DATE = OVER_THE_NETWORK.replace("clock_skew=0s;-300:300 ", "")

URL = f"https://cqd.example.com{STATUS_PATH}"
REFUSED = (
    "CQD UNKNOWN - the portal redirects to {}, which is not followed; if that is right, give its "
    "address with --url\n"
)
HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"


def masked(output: str) -> str:
    """Return the output with a response time that every test knows."""
    return re.sub(r"response_time=[0-9]+\.[0-9]{3}s", "response_time=0.001s", output)


def url_of(portal: PortalSimulator, scenario: str = "") -> str:
    return portal.url + (f"/{scenario}" if scenario else "") + STATUS_PATH
