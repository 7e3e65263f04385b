"""The portal's own log in the alert: asked only then, and never of any weight."""

from __future__ import annotations

import json
import socket
import threading
import time
from datetime import timezone
from typing import Any

import pytest
import requests
import requests_mock
from expected import (
    AT_DOCUMENTED_MOMENT,
    DOCUMENTED_LINE,
    DOCUMENTED_MOMENT,
    OF_BOTH,
    OF_CLOCK,
    OF_CUBE,
    OF_INTEGRATION,
    OF_PORTAL,
    OVER_THE_NETWORK,
    WITHOUT_DATE,
    Run,
    of_stages,
    url_of,
)
from hang import Hang
from portal_simulator import DOCUMENTED, LOG_PATH, STATUS_PATH, PortalSimulator
from raw_server import raw_server, read_head, silent

from check_cqd_integration.pipeline import log

HOST = "https://cqd.example.com"
HINT = (
    "hint: the archive step works and the cube step fails; a known cause is a client whose clock "
    "is more than 60 years off\n"
)


@pytest.mark.parametrize("options", [("-v",), ("-v", "--log-entries", "1"), ("-v", "-l", "x")])
def test_reason_of_a_failure_stands_below_the_stage(
    run: Run, portal: PortalSimulator, options: tuple[str, ...]
) -> None:
    code, out = run("-u", url_of(portal), *options, *AT_DOCUMENTED_MOMENT)
    assert (code, out) == (
        2,
        f"{OVER_THE_NETWORK}{OF_INTEGRATION}{OF_CUBE}"
        "  log 2015-01-18 10:30:58+00:00  Cube: Process Cube has failed: the attribute key cannot "
        "be found when processing: Table 'dbo_Date', Column 'Date', Value: '1/1/1953'\n"
        f"{OF_BOTH}{OF_CLOCK}{OF_PORTAL}{HINT}",
    )
    status, log = portal.requests
    assert (status.path, log.path) == (STATUS_PATH, LOG_PATH)
    assert status.client_port == log.client_port


def test_log_without_v_if_it_is_wanted(run: Run, portal: PortalSimulator) -> None:
    code, out = run("-u", url_of(portal), "--log-entries", "1", *AT_DOCUMENTED_MOMENT)
    assert (code, out) == (
        2,
        f"{OVER_THE_NETWORK}log 2015-01-18 10:30:58+00:00  Cube: Process Cube has failed: the "
        "attribute key cannot be found when processing: Table 'dbo_Date', Column 'Date', Value: "
        "'1/1/1953'\n",
    )


@pytest.mark.parametrize("options", [(), ("-v", "--log-entries", "0"), ("--log-entries", "")])
def test_log_is_not_asked_for_unless_it_is_wanted(
    run: Run, portal: PortalSimulator, options: tuple[str, ...]
) -> None:
    run("-u", url_of(portal), *options, *AT_DOCUMENTED_MOMENT)
    assert [request.path for request in portal.requests] == [STATUS_PATH]


@pytest.mark.parametrize(
    ("scenario", "options"),
    [
        ("healthy", ()),
        ("failing", ("--stage", "integration")),
        ("clock-behind", ()),
        ("disabled", ()),
        ("http-503", ()),
        ("future", ()),
    ],
)
def test_log_is_not_asked_for_unless_a_graded_stage_is_in_trouble(
    run: Run, scenario: str, options: tuple[str, ...]
) -> None:
    with PortalSimulator(clock=lambda: DOCUMENTED_MOMENT, zone=timezone.utc) as portal:
        more = ("-v", "--log-entries", "5", *options, *AT_DOCUMENTED_MOMENT)
        _, out = run("-u", url_of(portal, scenario), *more)
        assert len(portal.requests) == 1
    assert "this is a bug" not in out


def test_log_is_asked_for_if_a_stage_is_a_warning(run: Run) -> None:
    with PortalSimulator(clock=lambda: DOCUMENTED_MOMENT, zone=timezone.utc) as portal:
        assert run("-u", url_of(portal, "recovered"), "-v", *AT_DOCUMENTED_MOMENT)[0] == 1
        assert len(portal.requests) == 2


def entry(**fields: str) -> dict[str, str]:
    return {
        "LogCategory": "Cube",
        "LogTime": "2015-01-18T10:30:59",
        "LogDescription": "failed",
        **fields,
    }


def with_log(run: Run, *options: str, **reply: Any) -> list[str]:
    """Run with a failing status and this reply for the log; return the lines that it added."""
    with requests_mock.Mocker() as mocked:
        mocked.get(f"{HOST}{STATUS_PATH}", content=DOCUMENTED)
        mocked.get(f"{HOST}{LOG_PATH}", **reply)
        command = ("-H", "cqd.example.com", "-v", *options, *AT_DOCUMENTED_MOMENT)
        code, without = run(*command, "--log-entries", "0")
        assert mocked.call_count == 1
        assert run(*command)[0] == code == 2
        first, *lines = run(*command)[1].splitlines()
    first_without, *usual = without.splitlines()
    assert first == first_without
    assert [line for line in lines if line in usual] == usual
    return [line for line in lines if line not in usual]


def test_entry_of_no_stage_stands_below_all(run: Run) -> None:
    listed = [entry(LogCategory="Login", LogTime="2015-01-18T10:30:58.99"), entry()]
    with requests_mock.Mocker() as mocked:
        mocked.get(f"{HOST}{STATUS_PATH}", content=DOCUMENTED)
        mocked.get(f"{HOST}{LOG_PATH}", json=listed)
        _, out = run("-H", "cqd.example.com", "-v", *AT_DOCUMENTED_MOMENT)
    assert out == (
        f"{WITHOUT_DATE}{OF_INTEGRATION}{OF_CUBE}  log 2015-01-18 10:30:59+00:00  Cube: failed\n"
        f"{OF_BOTH}{OF_PORTAL}log 2015-01-18 10:30:58+00:00  Login: failed\n{HINT}"
    )


def test_entry_of_a_stage_that_is_not_graded_stands_below_all(run: Run) -> None:
    lines = with_log(run, "--stage", "cube", json=[entry(LogCategory="Integration")])
    assert lines == ["log 2015-01-18 10:30:59+00:00  Integration: failed"]


def test_three_entries_unless_it_is_said(run: Run) -> None:
    listed = [entry(LogDescription=f"failed {number}") for number in range(5)]
    assert len(with_log(run, json=listed)) == 3
    assert len(with_log(run, "--log-entries", "4", json=listed)) == 4


def test_entry_is_cleaned_and_cut(run: Run) -> None:
    hostile = entry(LogDescription="|\r\nOK <b>\x1b[0m\u00fc" + 300 * "x")
    (line,) = with_log(run, json=[hostile])
    begin = "  log 2015-01-18 10:30:59+00:00  Cube: / OK (b)?[0m?"
    assert line == begin + (199 - len(begin)) * "x" + "..."


def test_entry_draws_no_dot(run: Run) -> None:
    hostile = entry(LogCategory="[OK]", LogDescription="(CRITICAL) <UP>")
    (line,) = with_log(run, json=[hostile])
    assert line == "log 2015-01-18 10:30:59+00:00  {OK}: {CRITICAL} {UP}"


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ({"json": []}, "log is empty"),
        (
            {"status_code": 204},
            "log not read: the portal's integration log is disabled; in QoEDataService/web.config "
            "of the portal set QoEDataLib.DebugMode to True",
        ),
        (
            {"content": b""},
            "log not read: the portal's integration log is disabled; in QoEDataService/web.config "
            "of the portal set QoEDataLib.DebugMode to True",
        ),
        (
            {"content": b"<html>"},
            "log not read: the answer is a web page, not JSON; is this the CQD portal, and its "
            "address right?",
        ),
        (
            {"content": b"[{"},
            "log not read: the answer is broken JSON at line 1 column 3: Expecting property name "
            "enclosed in double quotes",
        ),
        ({"json": {}}, "log not read: the answer is not a list of entries"),
        ({"json": [entry(LogTime="?")]}, None),
        ({"content": bytes(1024 * 1024 + 1)}, "log not read: the answer is larger than 1 MiB"),
        (
            {"status_code": 401, "headers": {"WWW-Authenticate": "NTLM"}},
            "log not read: HTTP 401: the portal wants a login and offers NTLM; give --username "
            "with --password-file (NTLM)",
        ),
        (
            {"status_code": 404},
            "log not read: HTTP 404 Not Found: is this the CQD portal, and its address right?",
        ),
        (
            {"status_code": 500},
            "log not read: HTTP 500 Internal Server Error: the portal cannot answer now",
        ),
        (
            {"status_code": 302, "headers": {"Location": "https://elsewhere.example.com/"}},
            "log not read: the portal redirects to https://elsewhere.example.com, which is not "
            "followed; if that is right, give its address with --url",
        ),
        ({"exc": requests.exceptions.ConnectTimeout}, None),
        ({"exc": requests.exceptions.InvalidURL}, None),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_log_that_cannot_be_read_changes_nothing_else(
    run: Run, reply: dict[str, Any], reason: str | None
) -> None:
    (line,) = with_log(run, **reply)
    assert line.startswith(reason or "log not read: ")


def test_bug_in_reading_the_log_changes_nothing_else(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "parse_log", lambda *_: 1 / 0)
    assert with_log(run, json=[]) == ["log not read: this is a bug: ZeroDivisionError"]


def test_address_of_the_log_is_not_guessed(run: Run, portal: PortalSimulator) -> None:
    with requests_mock.Mocker() as mocked:
        mocked.get(f"{HOST}/saved.json", content=DOCUMENTED)
        _, out = run("-u", f"{HOST}/saved.json", "-v", *AT_DOCUMENTED_MOMENT)
    assert (
        "\nlog not read: its address is known only if that of the status ends in /Status\n" in out
    )


def test_log_is_not_sent_the_query_of_the_status(run: Run) -> None:
    with requests_mock.Mocker() as mocked:
        mocked.get(f"{HOST}{STATUS_PATH}", content=DOCUMENTED)
        mocked.get(f"{HOST}{LOG_PATH}", json=[])
        run("-u", f"{HOST}{STATUS_PATH}?of=status", "-v", *AT_DOCUMENTED_MOMENT)
    status, log = mocked.request_history
    assert (status.url, log.url) == (f"{HOST}{STATUS_PATH}?of=status", f"{HOST}{LOG_PATH}")


def test_log_is_asked_for_where_the_status_was_found(run: Run) -> None:
    with requests_mock.Mocker() as mocked:
        moved = {"Location": f"/moved{STATUS_PATH}"}
        mocked.get(f"{HOST}{STATUS_PATH}", status_code=302, headers=moved)
        mocked.get(f"{HOST}/moved{STATUS_PATH}", content=DOCUMENTED)
        mocked.get(f"{HOST}/moved{LOG_PATH}", json=[])
        run("-H", "cqd.example.com", "-v", *AT_DOCUMENTED_MOMENT)
    assert mocked.request_history[-1].url == f"{HOST}/moved{LOG_PATH}"


def test_log_of_a_saved_answer(run: Run, sample: Any) -> None:
    options = ("--input", str(sample), *AT_DOCUMENTED_MOMENT)
    assert run(*options, "--log-entries", "1") == (
        2,
        f"{DOCUMENTED_LINE}log not read: a saved answer has none\n",
    )
    assert "log" not in run(*options, "-v")[1]


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(DOCUMENTED)


@pytest.mark.parametrize(
    ("then", "reason"),
    [
        (silent, "waiting for the answer of 127.0.0.1: no answer within 2s (-t)"),
        (
            lambda connection, over: None,
            "waiting for the answer of 127.0.0.1: the connection was closed by the other side",
        ),
    ],
    ids=["silent", "closed"],
)
def test_log_that_does_not_come(run: Run, then: Any, reason: str) -> None:
    def handler(connection: socket.socket, over: threading.Event) -> None:
        read_head(connection)
        connection.sendall(HEAD + DOCUMENTED)
        read_head(connection)
        then(connection, over)

    with raw_server(handler) as port:
        begin = time.monotonic()
        options = ("-v", "-t", "2", *AT_DOCUMENTED_MOMENT)
        code, out = run("-u", f"http://127.0.0.1:{port}/Status", *options)
        took = time.monotonic() - begin
    assert (code, out) == (
        2,
        f"{WITHOUT_DATE}{OF_INTEGRATION}{OF_CUBE}{OF_BOTH}{OF_PORTAL}log not read: {reason}\n"
        f"{HINT}",
    )
    assert took < 10


def test_login_is_used_for_the_log_as_well(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CQD_PASSWORD", "Passw0rd!")
    with requests_mock.Mocker() as mocked:
        wanted = {"status_code": 401, "headers": {"WWW-Authenticate": "Basic"}}
        mocked.get(f"{HOST}{STATUS_PATH}", [wanted, {"content": DOCUMENTED}])
        mocked.get(f"{HOST}{LOG_PATH}", [wanted, {"text": json.dumps([entry()])}])
        _, out = run("-H", "cqd.example.com", "-l", "m", "-v", *AT_DOCUMENTED_MOMENT)
    assert "\n  log 2015-01-18 10:30:59+00:00  Cube: failed\n" in out
    assert "Passw0rd" not in out


@pytest.mark.parametrize(
    ("success", "failure", "shown"),
    [
        ("05:00:00", "09:31:00", "old"),  # followed by nothing
        ("09:40:00", "09:31:00", "old"),  # an hour ago
        ("09:40:00", "09:30:59", "new"),
        ("05:00:00", "04:00:00", "new"),
        ("05:00:00", "05:00:01", "old"),  # the newest of all that ended, however long ago
    ],
)
def test_failure_long_past_is_not_the_present_trouble(
    run: Run, success: str, failure: str, shown: str
) -> None:
    status = {
        "LastSuccessIntegrations": [f"01/18/2015 {success}"],
        "LastSuccessCubeProcessings": ["01/18/2015 10:30:00"],
        "LastFailedIntegrations": [f"01/18/2015 {failure}"],
        "LastFailedCubeProcessings": None,
        "LastDataIntegrationStart": None,
        "LastCubeProcessingStart": None,
    }
    listed = [
        entry(LogCategory="", LogTime="2015-01-18T10:00:00", LogDescription="new"),
        entry(LogCategory="", LogTime=f"2015-01-18T{failure}", LogDescription="old"),
    ]
    with requests_mock.Mocker() as mocked:
        mocked.get(f"{HOST}{STATUS_PATH}", json=status)
        mocked.get(f"{HOST}{LOG_PATH}", json=listed)
        options = ("--log-entries", "1", "-w", "30m", *AT_DOCUMENTED_MOMENT)
        _, out = run("-H", "cqd.example.com", *options)
    assert out.splitlines()[1].endswith(f": {shown}")


BOTH_FAIL = {
    "LastSuccessIntegrations": ["01/18/2015 09:45:13"],
    "LastSuccessCubeProcessings": ["01/18/2015 09:46:00"],
    "LastFailedIntegrations": ["01/18/2015 10:15:20", "01/18/2015 10:00:20"],
    "LastFailedCubeProcessings": ["01/18/2015 10:30:58", "01/18/2015 10:15:58"],
    "LastDataIntegrationStart": None,
    "LastCubeProcessingStart": "01/18/2015 10:28:16",
}


def test_both_stages_fail_and_the_log_tells_why_of_each(run: Run) -> None:
    listed = [
        entry(LogTime=f"2015-01-18T{time}", LogCategory=category, LogDescription=description)
        for time, category, description in [
            ("10:30:58", "Cube", "has failed"),
            ("10:30:57", "Cube", "Value: '1/1/1953'"),
            ("10:28:16", "Cube", "begins"),
            ("10:15:20", "Integration", "has failed"),
            ("10:15:19", "Archive", "no right to read"),
            ("10:00:20", "Integration", "failed before"),
        ]
    ]
    with requests_mock.Mocker() as mocked:
        mocked.get(f"{HOST}{STATUS_PATH}", json=BOTH_FAIL)
        mocked.get(f"{HOST}{LOG_PATH}", json=listed)
        command = ("-H", "cqd.example.com", "-v", "--log-entries", "2", *AT_DOCUMENTED_MOMENT)
        code, out = run(*command)
    assert (code, out.partition(" | ")[0], of_stages(out)) == (
        1,
        "CQD WARNING - integration: age 45m 47s (30m), streak 2 (0), failure 15m 40s ago (within "
        "30m) / cube: streak 2 (0), failure 2s ago (within 30m)",
        [
            "[WARNING] integration: last success 45m 47s ago (limit 30m), 2 failures since (limit "
            "0), newest failure 15m 40s ago (within 30m), not running",
            "  log 2015-01-18 10:15:20+00:00  Integration: has failed",
            "  log 2015-01-18 10:15:19+00:00  Archive: no right to read",
            "[WARNING] cube: last success 45m ago, 2 failures since (limit 0), newest failure 2s "
            "ago (within 30m), not running, last run took 2m 42s",
            "  log 2015-01-18 10:30:57+00:00  Cube: Value: '1/1/1953'",
            "  log 2015-01-18 10:28:16+00:00  Cube: begins",
            "hint: both steps fail, so look at the archive step first; known causes are lost read "
            "rights on QoE Metrics, and a service account without the right to log on as a batch "
            "job",
        ],
    )


@pytest.mark.parametrize("stage", ["integration", "cube"])
def test_reason_that_was_logged_just_before_the_failure(run: Run, stage: str) -> None:
    times = {"integration": "10:15:19", "cube": "10:28:16"}
    listed = [
        entry(LogCategory="", LogTime="2015-01-18T10:30:59", LogDescription="irrelevant"),
        entry(LogCategory="", LogTime=f"2015-01-18T{times[stage]}", LogDescription="why"),
    ]
    with requests_mock.Mocker() as mocked:
        mocked.get(f"{HOST}{STATUS_PATH}", json=BOTH_FAIL)
        mocked.get(f"{HOST}{LOG_PATH}", json=listed)
        options = ("--stage", stage, "--log-entries", "1", *AT_DOCUMENTED_MOMENT)
        _, out = run("-H", "cqd.example.com", *options)
    assert out.splitlines()[1:] == [f"log 2015-01-18 {times[stage]}+00:00  : why"]


def test_entry_is_in_the_time_of_the_portal(run: Run, portal: PortalSimulator) -> None:
    moment = ("--now", "2015-01-18T01:31:00Z", "--timezone", "Asia/Tokyo")
    _, out = run("-u", url_of(portal), "--log-entries", "1", *moment)
    assert out.splitlines()[1].startswith("log 2015-01-18 10:30:58+09:00  Cube: ")


@pytest.mark.parametrize(("more", "end"), [(0, "x"), (1, "...")])
def test_entry_of_200_characters_is_whole(run: Run, more: int, end: str) -> None:
    begin = "log 2015-01-18 10:30:59+00:00  Cube: "
    (line,) = with_log(run, json=[entry(LogDescription=(200 + more - len(begin)) * "x")])
    assert len(line) == 2 + 200
    assert line.endswith(end)


def test_words_of_a_redirect_are_cut(run: Run) -> None:
    (line,) = with_log(run, status_code=302, headers={"Location": f"{9000 * 'a'}://{9000 * 'b'}/"})
    assert line.startswith(f"log not read: the portal redirects to {20 * 'a'}://{60 * 'b'}, which")
    assert len(line) <= 200


def test_log_is_waited_for_no_longer_than_there_is_time(run: Run, hang: Hang) -> None:
    """Whatever a socket does: its own limit begins anew with each byte."""
    with requests_mock.Mocker() as mocked:
        mocked.get(f"http://cqd.example.com{STATUS_PATH}", content=DOCUMENTED)
        mocked.get(f"http://cqd.example.com{LOG_PATH}", text=hang)
        options = ("-H", "cqd.example.com", "--http", "-v", "-t", "60")
        code, out = run(*options, *AT_DOCUMENTED_MOMENT)
    assert (code, out.partition("\n")[0]) == (2, WITHOUT_DATE.rstrip())
    assert "\nlog not read: waiting for the answer of cqd.example.com: no answer within 60s" in out
