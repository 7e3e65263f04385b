"""The whole check: what is done with the source of an answer once it has been asked."""

from __future__ import annotations

import threading
from datetime import timezone

import pytest
from expected import Run, critical, url_of
from portal_simulator import PortalSimulator
from raw_server import raw_server, silent

from check_cqd_integration.auth import choice
from check_cqd_integration.portal.client import Portal


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[Portal]:
    """The portals that are closed from now on."""
    portals: list[Portal] = []
    close = Portal.close

    def noted(portal: Portal) -> None:
        portals.append(portal)
        close(portal)

    monkeypatch.setattr(Portal, "close", noted)
    return portals


def test_connection_is_closed_once(run: Run, portal: PortalSimulator, closed: list[Portal]) -> None:
    run("-u", url_of(portal), "-v")
    assert len(closed) == 1


def test_connection_of_a_thread_left_behind_is_not_touched(run: Run, closed: list[Portal]) -> None:
    with raw_server(silent) as port:
        assert run("-u", f"http://127.0.0.1:{port}/", "-t", "0.1") == critical(
            "waiting for the answer of 127.0.0.1: no answer within 0.1s (-t)"
        )
    assert closed == []


def test_password_on_a_file_system_that_hangs_is_not_waited_for(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()
    monkeypatch.setattr(choice, "identity", lambda _: over.wait(10))
    outcome = run("-H", "127.0.0.1", "-l", "somebody", "--password-file", "nowhere", "-t", "0.1")
    over.set()
    assert outcome == (
        3,
        "CQD UNKNOWN - starting on this host, which may be busy: no answer within 0.1s (-t)\n",
    )


def test_clock_is_that_of_this_host(run: Run) -> None:
    with PortalSimulator(zone=timezone.utc) as portal:
        code, out = run("-u", url_of(portal), "--timezone", "UTC")
    assert (code, out[:9]) == (0, "CQD OK - ")
