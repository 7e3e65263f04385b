"""The service's page in Icinga Web: all lines of the plugin are there, with their dots.

CQD_PICTURES=DIRECTORY keeps the pictures of the pages; two are in docs/.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime, timezone
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

import pytest
from icingaweb_lab import WEB, IcingaWebLab
from portal_simulator import STATUS_PATH, PortalSimulator
from private_daemons import missing_program

MOMENT = datetime(2026, 11, 24, 14, 12, 7, tzinfo=timezone.utc)
HOST = "cqd.example.com"


class Page(NamedTuple):
    """A service: the scenario that it shows, with which option, and what comes of it."""

    scenario: str
    verbosity: str
    state: str
    left: int
    top: int
    right: int
    bottom: int
    """What of it is in the picture: up to the last line of the output, or the chart alone."""


PAGES = {
    "recovered": Page("recovered", "-v", "WARNING", 0, 0, 1440, 320),
    "failing": Page("failing", "-v", "CRITICAL", 0, 0, 1440, 320),
    "timeline": Page("failing", "-vv", "CRITICAL", 204, 304, 800, 486),
}
STATES = {f"state-{word}": f"[{word.upper()}]" for word in ("ok", "warning", "critical", "unknown")}


class PluginOutputs(HTMLParser):
    """What of a page is output of a plugin: each text, with [STATE] for its dots."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._depth = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        classes = (dict(attrs).get("class") or "").split()
        if self._depth:
            self._depth += 1
        elif "plugin-output" in classes:
            self._depth = 1
            self.texts.append("")
        if self._depth and "state-ball" in classes:
            [state] = [name for name in classes if name in STATES]
            self.texts[-1] += STATES[state]

    def handle_endtag(self, tag: str) -> None:
        self._depth -= bool(self._depth)

    def handle_data(self, data: str) -> None:
        if self._depth:
            self.texts[-1] += data


@pytest.fixture(scope="module")
def portal() -> Iterator[PortalSimulator]:
    with PortalSimulator(clock=lambda: MOMENT) as simulator:
        yield simulator


def options(portal: PortalSimulator, page: Page) -> list[str]:
    url = f"{portal.url}/{page.scenario}{STATUS_PATH}"
    return ["--url", url, "--now", MOMENT.isoformat(), page.verbosity]


@pytest.fixture(scope="module")
def web(portal: PortalSimulator) -> Iterator[IcingaWebLab]:
    missing = missing_program("chromium", "icingadb", "php", "redis-server")
    if missing or not (WEB / "modules" / "icingadb").exists():
        pytest.skip(f"{missing or 'icingadb-web'} is not installed")
    objects = f'object Host "{HOST}" {{ check_command = "dummy" }}\n'
    for name, page in PAGES.items():
        words = ", ".join(f'"{word}"' for word in options(portal, page))
        objects += f"""
            object CheckCommand "{name}" {{
                command = [ PluginContribDir + "/check_cqd_integration", {words} ]
            }}
            object Service "{name}" {{
                host_name = "{HOST}"
                display_name = "CQD integration"
                check_command = "{name}"
                enable_active_checks = false
                max_check_attempts = 1
            }}
            """
    place = tempfile.TemporaryDirectory(prefix="icingaweb-lab-")
    with place as directory, IcingaWebLab(Path(directory), objects) as lab:
        yield lab


@pytest.mark.parametrize("name", PAGES)
def test_page_shows_every_line_with_its_dot(
    web: IcingaWebLab, portal: PortalSimulator, name: str, tmp_path: Path
) -> None:
    page = PAGES[name]
    by_hand = subprocess.run(
        [sys.executable, "-m", "check_cqd_integration", *options(portal, page)],
        stdout=subprocess.PIPE,
        text=True,
    )
    web.check(HOST, name)
    shown = web.page(HOST, name)
    picture = Path(os.environ.get("CQD_PICTURES", tmp_path)) / f"icingaweb-{name}.png"
    web.picture(HOST, name, picture, (page.left, page.top, page.right, page.bottom))

    first, *rest = by_hand.stdout.splitlines()
    expected = "\n".join([first.partition("| ")[0], *rest])
    outputs = PluginOutputs(shown).texts
    assert without_response_time(expected) in map(without_response_time, outputs)
    assert first.startswith(f"CQD {page.state} - ")
    assert any(line.startswith(f"[{page.state}] cube: ") for line in rest)
    assert picture.read_bytes().startswith(b"\x89PNG")


def without_response_time(text: str) -> str:
    """It is another one for each check."""
    return re.sub(r"[0-9]+\.[0-9]{3}s", "0.001s", text.strip())
