"""The simulated portal keeps the promises that its scenarios make, at any moment."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import re
import select
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
import trustme
from hypothesis import example, given
from hypothesis import strategies as st
from portal_simulator import (
    DOCUMENTED,
    PASSWORD,
    PIPELINES,
    REDIRECTED_PATH,
    SCENARIOS,
    STATUS_PATH,
    USERNAME,
    PortalSimulator,
    answer,
)

FIELDS = [
    "LastSuccessIntegrations",
    "LastSuccessCubeProcessings",
    "LastFailedIntegrations",
    "LastFailedCubeProcessings",
    "LastDataIntegrationStart",
    "LastCubeProcessingStart",
]
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
NOON = datetime(2026, 11, 24, 12, 7, 30, tzinfo=timezone.utc)
PATIENCE = 10  # seconds until a test that waits for the other side gives up

moments = st.datetimes(min_value=datetime(2015, 1, 1), max_value=datetime(2035, 12, 31))


def parsed(timestamp: str) -> datetime:
    return datetime.strptime(timestamp, "%m/%d/%Y %H:%M:%S")


class Step(NamedTuple):
    """One step of the pipeline, as the answer tells it."""

    successes: list[datetime]
    failures: list[datetime]
    start: datetime | None

    @property
    def streak(self) -> int:
        return sum(failure > self.successes[0] for failure in self.failures)

    @property
    def running(self) -> bool:
        ended = self.successes[:1] + self.failures[:1]
        return self.start is not None and all(self.start > end for end in ended)


def steps(told: dict[str, Any]) -> tuple[Step, Step]:
    """The integration and the cube processing of an answer."""

    def timestamps(field: str) -> list[datetime]:
        return [parsed(timestamp) for timestamp in told[field] or []]

    def start(field: str) -> datetime | None:
        return parsed(told[field]) if told[field] else None

    return (
        Step(timestamps(FIELDS[0]), timestamps(FIELDS[2]), start(FIELDS[4])),
        Step(timestamps(FIELDS[1]), timestamps(FIELDS[3]), start(FIELDS[5])),
    )


# --- the pipeline ---------------------------------------------------------------------------------


@pytest.mark.parametrize("scenario", sorted({*PIPELINES} - {"missing-key", "future"}))
@given(now=moments)
def test_answer_is_well_formed(scenario: str, now: datetime) -> None:
    told = answer(scenario, now)
    assert list(told) == FIELDS
    assert json.loads(json.dumps(told)) == told
    for step in steps(told):
        for timestamps in step.successes, step.failures:
            assert len(timestamps) <= 5
            assert timestamps == sorted(set(timestamps), reverse=True)
            assert all(timestamp <= now for timestamp in timestamps)
        assert step.start is None or step.start <= now


@given(now=moments)
@example(now=datetime(2026, 3, 1, 0, 0, 0))
@example(now=datetime(2026, 3, 1, 0, 2, 23))
def test_healthy_is_ok(now: datetime) -> None:
    integration, cube = steps(answer("healthy", now))
    assert now - integration.successes[0] < 16 * MINUTE
    assert now - cube.successes[0] < 18 * MINUTE
    assert len(integration.successes) == len(cube.successes) == 5
    assert integration.failures == cube.failures == []


@given(now=moments)
def test_healthy_keeps_to_the_schedule(now: datetime) -> None:
    integration, cube = steps(answer("healthy", now))
    assert integration.start is not None
    assert now - integration.start < 15 * MINUTE
    assert (integration.start.minute % 15, integration.start.second) == (0, 0)
    for integrated, processed in zip(reversed(integration.successes), reversed(cube.successes)):
        if processed > integrated:  # else the newest integration's cube is yet to come
            assert 83 * SECOND <= processed - integrated <= 103 * SECOND
    for integrated in integration.successes:
        assert 25 <= (integrated.minute % 15) * 60 + integrated.second <= 40


@pytest.mark.parametrize(
    ("second", "integration_runs", "cube_runs"),
    [(0, True, False), (24, True, False), (60, False, True), (300, False, False)],
)
def test_run_in_progress_shows(second: int, integration_runs: bool, cube_runs: bool) -> None:
    told = answer("healthy", datetime(2026, 11, 24, 10, 30) + second * SECOND)
    assert [step.running for step in steps(told)] == [integration_runs, cube_runs]


@given(now=moments)
@example(now=datetime(2026, 3, 1, 0, 0, 59))
@example(now=datetime(2026, 3, 1, 0, 1, 0))
def test_late_is_warning_for_the_integration_only(now: datetime) -> None:
    integration, cube = steps(answer("late", now))
    assert 30 * MINUTE < now - integration.successes[0] < HOUR
    assert now - cube.successes[0] < HOUR
    assert integration.failures == cube.failures == []
    assert not integration.running
    assert cube.running
    assert cube.start is not None
    assert 30 * MINUTE < now - cube.start < HOUR


@given(now=moments)
def test_failing_is_critical_for_the_cube_only(now: datetime) -> None:
    integration, cube = steps(answer("failing", now))
    assert now - integration.successes[0] < 16 * MINUTE
    assert integration.failures == []
    assert 4 * HOUR < now - cube.successes[0] < 6 * HOUR
    assert cube.streak == len(cube.failures) == 5
    assert now - cube.failures[0] < 30 * MINUTE


@given(now=moments)
@example(now=datetime(2026, 3, 1, 0, 1, 48))
@example(now=datetime(2026, 3, 1, 0, 2, 23))
def test_recovered_is_warning_for_the_failure_only(now: datetime) -> None:
    integration, cube = steps(answer("recovered", now))
    assert now - integration.successes[0] < 16 * MINUTE
    assert now - cube.successes[0] < 18 * MINUTE
    assert integration.failures == []
    assert len(cube.failures) == 1
    assert cube.streak == 0
    assert 10 * MINUTE < now - cube.failures[0] < 26 * MINUTE


@given(now=moments)
def test_stuck_is_critical_for_the_age_only(now: datetime) -> None:
    for step in steps(answer("stuck", now)):
        assert abs(now - step.successes[0] - timedelta(days=1)) < 15 * MINUTE
        assert step.failures == []


@given(now=moments)
def test_never_yet_has_a_first_run_and_no_success(now: datetime) -> None:
    told = answer("never-yet", now)
    assert [told[field] for field in FIELDS[:4]] == [None] * 4
    integration, cube = steps(told)
    assert integration.start is not None
    assert HOUR <= now - integration.start < 2 * HOUR
    assert cube.start is None


@given(now=moments)
def test_future_is_ahead_by_more_than_clocks_differ(now: datetime) -> None:
    for step in steps(answer("future", now)):
        assert 40 * MINUTE < step.successes[0] - now <= HOUR


@given(now=moments)
def test_missing_key_lacks_one(now: datetime) -> None:
    told = answer("missing-key", now)
    assert list(told) == [field for field in FIELDS if field != "LastSuccessCubeProcessings"]


def test_lists_without_stamps_are_empty_once_something_ran() -> None:
    told = answer("healthy", datetime(2026, 11, 24, 12))
    assert told["LastFailedIntegrations"] == told["LastFailedCubeProcessings"] == []


def test_stamps_of_the_hour_that_a_zone_repeats() -> None:
    second_pass = datetime(2026, 10, 25, 1, 20, tzinfo=timezone.utc)  # 02:20 in winter time
    told = answer("healthy", second_pass, ZoneInfo("Europe/Berlin"))
    successes = [timestamp.strftime("%H:%M") for timestamp in steps(told)[0].successes]
    assert successes == ["02:15", "02:00", "02:45", "02:30", "02:15"]


# --- the server -----------------------------------------------------------------------------------


class Got(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes


def get(portal: PortalSimulator, path: str, **headers: str) -> Got:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection(portal.host, portal.port, timeout=PATIENCE)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return Got(response.status, response.headers, response.read())
    finally:
        connection.close()


def begin(portal: PortalSimulator, path: str) -> socket.socket:
    """A client that has sent its request and waits."""
    client = socket.create_connection((portal.host, portal.port), timeout=PATIENCE)
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: cqd\r\n\r\n".encode())
    return client


def is_silent(client: socket.socket) -> bool:
    """Whether nothing comes, not even the end, for a short while."""
    client.settimeout(0.2)
    try:
        client.recv(1)
    except socket.timeout:
        return True
    finally:
        client.settimeout(PATIENCE)
    return False


@pytest.fixture
def portal() -> Iterator[PortalSimulator]:
    with PortalSimulator(clock=lambda: NOON, zone=timezone.utc) as running:
        yield running


def healthy_at(now: datetime) -> dict[str, Any]:
    return answer("healthy", now, timezone.utc)


def test_every_scenario_says_its_state() -> None:
    for about in SCENARIOS.values():
        assert re.search(": (OK|WARNING|CRITICAL|UNKNOWN)", about)


def test_unknown_scenario_is_refused() -> None:
    with pytest.raises(ValueError, match="no scenario 'healhty'; there are healthy, late"):
        PortalSimulator("healhty")


def test_address(portal: PortalSimulator) -> None:
    assert portal.host == "127.0.0.1"
    assert portal.url == f"http://127.0.0.1:{portal.port}"


@pytest.mark.parametrize("scenario", sorted(PIPELINES))
def test_pipeline_is_served(portal: PortalSimulator, scenario: str) -> None:
    got = get(portal, f"/{scenario}{STATUS_PATH}")
    assert got.status == 200
    assert dict(got.headers) == {
        "Content-Type": "application/json; charset=utf-8",
        "Server": "Microsoft-IIS/10.0",
        "Date": "Tue, 24 Nov 2026 12:07:30 GMT",
        "Content-Length": str(len(got.body)),
    }
    assert json.loads(got.body) == answer(scenario, NOON, timezone.utc)


def test_zone_of_the_timestamps() -> None:
    with PortalSimulator(clock=lambda: NOON, zone=ZoneInfo("Asia/Tokyo")) as portal:
        integration, _ = steps(json.loads(get(portal, STATUS_PATH).body))
    assert integration.start == datetime(2026, 11, 24, 21, 0)


def test_true_time_is_the_default_clock() -> None:
    with PortalSimulator(zone=timezone.utc) as portal:
        before = datetime.now(timezone.utc)
        _, cube = steps(json.loads(get(portal, STATUS_PATH).body))
    assert before.replace(tzinfo=None) - cube.successes[0] < 18 * MINUTE


def test_default_scenario_and_the_one_of_the_path() -> None:
    with PortalSimulator("http-503") as portal:
        assert get(portal, STATUS_PATH).status == 503
        assert get(portal, f"/healthy{STATUS_PATH}").status == 200


def test_given_body_replaces_the_default_scenario_only() -> None:
    with PortalSimulator("http-503", body=b"as given") as portal:
        assert get(portal, STATUS_PATH)[::2] == (200, b"as given")
        assert get(portal, f"/http-403{STATUS_PATH}").status == 403


@pytest.mark.parametrize(
    "path",
    ["/", "/healthy", "/QoEDataService", f"/unheard-of{STATUS_PATH}"],
)
def test_other_paths_are_not_found(portal: PortalSimulator, path: str) -> None:
    assert get(portal, path).status == 404


@pytest.mark.parametrize(
    ("scenario", "body"),
    [
        ("documented", DOCUMENTED),
        ("disabled", b""),
        ("disabled-null", b"null"),
    ],
)
def test_fixed_body(portal: PortalSimulator, scenario: str, body: bytes) -> None:
    got = get(portal, f"/{scenario}{STATUS_PATH}")
    assert (got.status, got.body) == (200, body)
    assert got.headers["Content-Type"] == "application/json; charset=utf-8"


def test_documented_sample_has_the_lost_value() -> None:
    assert len(DOCUMENTED) == 553
    assert b'\n"LastFailedIntegrations":  ,\n' in DOCUMENTED
    found = json.loads(DOCUMENTED.replace(b":  ,", b": null,"))
    assert list(found) == FIELDS
    assert [len(step.successes) for step in steps(found)] == [5, 5]


def test_html(portal: PortalSimulator) -> None:
    got = get(portal, f"/html{STATUS_PATH}")
    assert (got.status, got.headers["Content-Type"]) == (200, "text/html")
    assert got.body.startswith(b"<html>")


def test_broken_json(portal: PortalSimulator) -> None:
    got = get(portal, f"/broken-json{STATUS_PATH}")
    assert got.status == 200
    with pytest.raises(json.JSONDecodeError):
        json.loads(got.body)


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_http_error(portal: PortalSimulator, status: int) -> None:
    got = get(portal, f"/http-{status}{STATUS_PATH}")
    assert (got.status, got.headers["Content-Type"]) == (status, "text/html")
    assert f"<h1>{status} - ".encode() in got.body


def test_windows_authentication_is_offered(portal: PortalSimulator) -> None:
    offered = get(portal, f"/http-401{STATUS_PATH}").headers.get_all("WWW-Authenticate")
    assert offered == ["Negotiate", "NTLM"]


def test_redirect_to_another_host(portal: PortalSimulator) -> None:
    got = get(portal, f"/redirect{STATUS_PATH}")
    assert (got.status, got.headers["Location"]) == (302, "https://elsewhere.invalid/")


def test_redirect_to_the_same_origin_leads_to_an_answer(portal: PortalSimulator) -> None:
    got = get(portal, f"/redirect-same{STATUS_PATH}")
    assert (got.status, got.headers["Location"]) == (302, REDIRECTED_PATH)
    assert json.loads(get(portal, REDIRECTED_PATH).body) == healthy_at(NOON)


def test_basic_login(portal: PortalSimulator) -> None:
    def login(password: str) -> str:
        return "Basic " + base64.b64encode(f"{USERNAME}:{password}".encode()).decode()

    path = f"/basic{STATUS_PATH}"
    for headers in {}, {"Authorization": login("guess")}:
        refused = get(portal, path, **headers)
        assert refused.status == 401
        assert refused.headers.get_all("WWW-Authenticate") == ['Basic realm="cqd"']
    let_in = get(portal, path, Authorization=login(PASSWORD))
    assert (let_in.status, json.loads(let_in.body)) == (200, healthy_at(NOON))


def test_huge_is_healthy_but_for_its_size(portal: PortalSimulator) -> None:
    got = get(portal, f"/huge{STATUS_PATH}")
    assert len(got.body) > 1024 * 1024
    assert json.loads(got.body) == healthy_at(NOON)


def test_no_date(portal: PortalSimulator) -> None:
    got = get(portal, f"/no-date{STATUS_PATH}")
    assert "Date" not in got.headers
    assert json.loads(got.body) == healthy_at(NOON)


def test_clock_behind_in_date_and_timestamps(portal: PortalSimulator) -> None:
    got = get(portal, f"/clock-behind{STATUS_PATH}")
    assert got.headers["Date"] == "Tue, 24 Nov 2026 11:57:30 GMT"
    assert json.loads(got.body) == healthy_at(NOON - 10 * MINUTE)


def test_close_gives_no_answer(portal: PortalSimulator) -> None:
    with begin(portal, f"/close{STATUS_PATH}") as client:
        assert client.recv(1) == b""


def test_many_may_connect_at_once() -> None:
    with PortalSimulator() as portal, contextlib.ExitStack() as clients:
        portal.shutdown()  # nobody accepts: all have to queue
        for _ in range(100):
            clients.enter_context(socket.create_connection((portal.host, portal.port), 0.5))


def test_silent_gives_no_answer(portal: PortalSimulator) -> None:
    with begin(portal, f"/silent{STATUS_PATH}") as client:
        assert is_silent(client)


def test_slow_sends_the_first_byte_and_then_another(portal: PortalSimulator) -> None:
    with begin(portal, f"/slow{STATUS_PATH}") as client, client.makefile("rb", 0) as stream:
        assert stream.readline() == b"HTTP/1.1 200 OK\r\n"
        headers = http.client.parse_headers(stream)
        assert int(headers["Content-Length"]) == len(json.dumps(healthy_at(NOON)))
        assert stream.read(1) == b"{"
        assert is_silent(client)
        assert stream.read(1) == b'"'


def test_one_connection_serves_many_requests(portal: PortalSimulator) -> None:
    connection = http.client.HTTPConnection(portal.host, portal.port, timeout=PATIENCE)
    connection.connect()
    own_port = connection.sock.getsockname()[1]
    for path in STATUS_PATH, f"/http-401{STATUS_PATH}", f"/disabled{STATUS_PATH}", "/":
        connection.request("GET", path)
        connection.getresponse().read()
    connection.close()
    assert {request.client_port for request in portal.requests} == {own_port}
    assert len(portal.requests) == 4


def test_requests_are_recorded_whatever_their_method(portal: PortalSimulator) -> None:
    get(portal, "/asked?how=so", Accept="application/json")
    connection = http.client.HTTPConnection(portal.host, portal.port, timeout=PATIENCE)
    connection.request("POST", STATUS_PATH, body=b"")
    assert connection.getresponse().status == 501
    connection.close()
    first, second = portal.requests
    assert (first.method, first.path) == ("GET", "/asked?how=so")
    assert first.headers["accept"] == "application/json"
    assert (second.method, second.path) == ("POST", STATUS_PATH)
    assert first.client_port != second.client_port


def test_leaving_ends_every_client_and_thread() -> None:
    threads = set(threading.enumerate())
    with PortalSimulator() as portal:
        clients = [begin(portal, f"/{name}{STATUS_PATH}") for name in ("silent", "huge")]
        clients.append(begin(portal, STATUS_PATH))  # stays connected after its answer
        clients.append(socket.create_connection((portal.host, portal.port), timeout=PATIENCE))
        clients.append(begin(portal, f"/slow{STATUS_PATH}"))
        assert clients[2].recv(1) == b"H"
        assert clients[4].recv(1) == b"H"
    assert set(threading.enumerate()) <= threads
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((portal.host, portal.port), timeout=PATIENCE)
    for client in clients:
        client.close()


def test_a_client_that_hangs_up_is_not_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with PortalSimulator() as portal:
        for name in "huge", "slow", "silent":
            with begin(portal, f"/{name}{STATUS_PATH}") as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        assert get(portal, STATUS_PATH).status == 200
    assert capfd.readouterr() == ("", "")


def test_a_bug_of_the_simulator_shows(capfd: pytest.CaptureFixture[str]) -> None:
    def broken() -> datetime:
        raise LookupError("no time")

    with PortalSimulator(clock=broken) as portal, begin(portal, STATUS_PATH) as client:
        assert client.recv(1) == b""
    assert "LookupError: no time" in capfd.readouterr().err


def test_tls(capfd: pytest.CaptureFixture[str]) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    with PortalSimulator(tls=context) as portal:
        assert portal.url == f"https://localhost:{portal.port}"
        dawdling = socket.create_connection(("localhost", portal.port), timeout=PATIENCE)
        for trust in trusting, ssl.create_default_context(), trusting:
            connection = http.client.HTTPSConnection(
                portal.host, portal.port, timeout=PATIENCE, context=trust
            )
            if trust is trusting:
                connection.request("GET", STATUS_PATH)
                assert connection.getresponse().status == 200
            else:
                with pytest.raises(ssl.SSLCertVerificationError):
                    connection.request("GET", STATUS_PATH)
            connection.close()
        silent = trusting.wrap_socket(
            socket.create_connection(("localhost", portal.port), timeout=PATIENCE),
            server_hostname="localhost",
        )
        silent.sendall(f"GET /silent{STATUS_PATH} HTTP/1.1\r\n\r\n".encode())
        assert is_silent(silent)
        leaving = time.monotonic()
    assert time.monotonic() - leaving < 5
    dawdling.close()
    silent.close()
    assert capfd.readouterr() == ("", "")


# --- the command ----------------------------------------------------------------------------------


def command(*arguments: str) -> subprocess.Popen[str]:
    program = Path(__file__).with_name("portal_simulator.py")
    return subprocess.Popen(
        [sys.executable, str(program), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def first_line(process: subprocess.Popen[str]) -> str:
    """What the command prints first; nothing if it does not within PATIENCE."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
    return process.stdout.readline() if ready else ""


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_command_plays_until_it_is_told_to_end(ending: signal.Signals) -> None:
    with command("--scenario", "failing", "--timezone", "UTC") as process:
        try:
            line = first_line(process)
            url = line.split()[3]
            assert line == (
                f"portal simulator on {url} plays failing;"
                f" other scenarios: {url}NAME/QoEDataService/IntegrationLog/Status\n"
            )
            host, port = url[len("http://") : -1].split(":")
            connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
            connection.request("GET", STATUS_PATH)
            integration, cube = steps(json.loads(connection.getresponse().read()))
            assert integration.failures == []
            assert cube.streak == 5
            process.send_signal(ending)  # with the connection still open
            assert process.communicate(timeout=PATIENCE) == ("", "")
            assert process.returncode == 0
            connection.close()
        finally:
            process.kill()


def test_command_with_tls(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    with command("--tls", "--ca-out", str(authority), "--verbose") as process:
        try:
            host, port = first_line(process).split()[3][len("https://") : -1].split(":")
            assert host == "localhost"
            connection = http.client.HTTPSConnection(
                host,
                int(port),
                timeout=PATIENCE,
                context=ssl.create_default_context(cafile=str(authority)),
            )
            connection.request("GET", STATUS_PATH)
            assert connection.getresponse().status == 200
            connection.close()
            process.terminate()
            _, log = process.communicate(timeout=PATIENCE)
            assert f'"GET {STATUS_PATH} HTTP/1.1" 200' in log
        finally:
            process.kill()


def test_command_lists_the_scenarios() -> None:
    with command("--list") as listing, command("--help") as helping:
        listed, _ = listing.communicate(timeout=PATIENCE)
        helped, _ = helping.communicate(timeout=PATIENCE)
    assert [line.split(maxsplit=1) for line in listed.splitlines()] == [
        [name, about] for name, about in SCENARIOS.items()
    ]
    assert listed in helped


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--scenario", "healhty"], "invalid choice: 'healhty'"),
        (["--timezone", "Mars/Olympus"], "no time zone 'Mars/Olympus'"),
        (["--ca-out", "ca.pem"], "--ca-out needs --tls"),
        (["--port", "99999"], "port must be 0-65535"),
    ],
)
def test_command_says_what_is_wrong(arguments: list[str], complaint: str) -> None:
    with command(*arguments) as process:
        output, complaints = process.communicate(timeout=PATIENCE)
    assert (process.returncode, output) == (2, "")
    assert complaint in complaints
