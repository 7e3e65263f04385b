"""The whole check: what is done with the source of an answer once it has been asked."""

from __future__ import annotations

import socket
from datetime import timezone

import pytest
from expected import Run, critical, unknown, url_of
from hang import Hang
from portal_simulator import PortalSimulator
from requests.adapters import HTTPAdapter

from check_cqd_integration.auth import choice
from check_cqd_integration.portal.client import Portal

STARTING = unknown("starting on this host, which may be busy: no answer within 60s (-t)")


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


def test_connection_of_a_thread_left_behind_is_not_touched(
    run: Run, hang: Hang, monkeypatch: pytest.MonkeyPatch, closed: list[Portal]
) -> None:
    monkeypatch.setattr(socket.socket, "connect", hang)
    assert run("-u", "http://127.0.0.1:9/", "-t", "60") == critical(
        "connecting to 127.0.0.1 port 9: no answer within 60s (-t)"
    )
    assert closed == []


def test_password_on_a_file_system_that_hangs_is_not_waited_for(
    run: Run, hang: Hang, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "identity", hang)
    options = ("-l", "somebody", "--password-file", "nowhere")
    assert run("-H", "127.0.0.1", *options, "-t", "60") == STARTING


def test_portal_is_not_to_blame_before_it_is_asked(
    run: Run, hang: Hang, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This host is too busy to connect."""
    monkeypatch.setattr(HTTPAdapter, "send", hang)
    assert run("-u", "http://127.0.0.1:9/", "-t", "60") == STARTING


def test_clock_is_that_of_this_host(run: Run) -> None:
    with PortalSimulator(zone=timezone.utc) as portal:
        code, out = run("-u", url_of(portal), "--timezone", "UTC")
    assert (code, out[:9]) == (0, "CQD OK - ")
