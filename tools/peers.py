"""`make peers`: what plugins that are not made for CQD make of twelve answers of a portal.

    python tools/peers.py VENV [--write]

Each is called as well as its own manual allows: check_json computes the ages with jq, check_http
and check_http_json.py, which cannot, look for the fields. All ask the same portal simulator, whose
timestamps are in UTC. Of an answer that lasts, the time they are given counts for all: -t, where
there is one. `--write` puts the table into docs/performance.md.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timezone

from bench import (
    CHECK_HTTP_JSON,
    CHECK_JSON,
    DOCUMENT,
    PLUGIN,
    PLUGIN_NAME,
    PYTHON,
    table,
    tell,
)
from portal_simulator import STATUS_PATH, PortalSimulator, answer
from raw_server import answering, raw_server

PATIENCE = 30
"""Seconds until a plugin is stopped."""
STATES = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
CHECK_HTTP = "/usr/lib/nagios/plugins/check_http"
SCENARIOS = {
    "healthy": "healthy",
    "late: a run has gone on for half an hour": "late",
    "failing: the cube for five hours": "failing",
    "timestamps of another zone": "future",
    "null: the log is turned off": "disabled-null",
    "empty: the log is turned off": "disabled",
    "HTML": "html",
    "401, login by NTLM": "http-401",
    "500": "http-500",
    "one byte a second": "slow",
}


def timestamps(field: str) -> str:
    return f'[.{field}[] | strptime("%m/%d/%Y %H:%M:%S") | mktime]'


def check_json(url: str) -> list[str]:
    """As this plugin's defaults: ages of 30 minutes and an hour, failures of half an hour."""
    line = [CHECK_JSON]
    for stage in ("Integrations", "CubeProcessings"):
        age = f"now - ({timestamps('LastSuccess' + stage)} | max)"
        line += ["--filter", f"{stage}_age", age, "w0:1800,c0:3600"]
        recent = f"[{timestamps('LastFailed' + stage)}[] | select(now - . < 1800)] | length"
        line += ["--filter", f"{stage}_failures", recent, "w0,c2"]
    return [*line, url]


def of_plugins(host: str, port: int, path: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the name and the command line of each that is installed."""
    url = f"http://{host}:{port}{path}"
    yield PLUGIN_NAME, [PLUGIN, "-u", url, "--timezone", "UTC"]
    if os.path.exists(CHECK_JSON):
        yield "check_json", check_json(url)
    if CHECK_HTTP_JSON:
        fields = ["LastSuccessIntegrations(0)", "LastSuccessCubeProcessings(0)"]
        line = [PYTHON, CHECK_HTTP_JSON, "-H", host, "-P", str(port), "-p", path.lstrip("/")]
        yield "check_http_json.py", [*line, "-E", *fields]
    if os.path.exists(CHECK_HTTP):
        line = [CHECK_HTTP, "-I", host, "-p", str(port), "-u", path]
        yield "check_http", [*line, "-s", "LastSuccessIntegrations"]


def verdict(line: list[str]) -> str:
    """Return the state that a plugin gives, or what else became of it."""
    try:
        process = subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return f"no end in {PATIENCE} s"
    is_state = process.returncode < len(STATES)
    told = STATES[process.returncode] if is_state else f"exit {process.returncode}"
    return f"{told} (a traceback)" if "Traceback" in process.stderr else told


def main() -> None:
    rows: list[list[str]] = []
    with ExitStack() as stack:
        portal = stack.enter_context(PortalSimulator(zone=timezone.utc))
        body = json.dumps(answer("healthy", datetime.now(timezone.utc), timezone.utc)).encode()
        head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nConnection: close\r\n%b\r\n"
        refused = head % (b"405 Method Not Allowed", b"") + body
        bomb = gzip.compress(bytes(1000 * 1024 * 1024))
        bombing = head % (b"200 OK", b"Content-Encoding: gzip\r\n") + bomb
        places = {
            about: (portal.port, f"/{scenario}{STATUS_PATH}")
            for about, scenario in SCENARIOS.items()
        }
        for about, handler in {
            "405 with the JSON of a healthy one": answering(refused),
            "gzip that unpacks to 1,000 MiB": answering(bombing),
        }.items():
            places[about] = (stack.enter_context(raw_server(handler)), STATUS_PATH)
        for about, (port, path) in places.items():
            plugins = dict(of_plugins(portal.host, port, path))
            rows = rows or [["The portal's answer", *plugins]]
            rows.append([about, *map(verdict, plugins.values())])
    tell(table(rows), DOCUMENT, "make peers")


if __name__ == "__main__":
    main()
