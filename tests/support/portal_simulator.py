"""A small real web server that plays the CQD portal of Skype for Business.

The portal's pipeline runs on its documented schedule, a job every 15 minutes, up to the present
moment, and the portal answers in one of the named scenarios: as a healthy one does, as one whose
cube fails, as one that never answers. Each says which state the plugin's defaults give it.

    python tests/support/portal_simulator.py --scenario failing
    with PortalSimulator("failing") as portal: ... portal.url + STATUS_PATH

A leading path segment picks the scenario of one request:

    GET /late/QoEDataService/IntegrationLog/Status

Sources: Microsoft's "Get Last Integration Data" (fields and sample), "Plan for CQD" (schedule).
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from email.message import Message
from email.utils import format_datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Union, final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

LOG_PATH = "/QoEDataService/IntegrationLog"
STATUS_PATH = LOG_PATH + "/Status"
REDIRECTED_PATH = "/cqd" + STATUS_PATH

# --- the pipeline ---------------------------------------------------------------------------------

QUARTER = timedelta(minutes=15)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

Status = dict[str, Union[list[datetime], datetime, None]]


class Run(NamedTuple):
    """One run of one step of the job."""

    start: datetime
    end: datetime
    failed: bool = False


class Job(NamedTuple):
    """One run of the SQL Server Agent job: the integration, then the cube processing."""

    integration: Run
    cube: Run


def quarter(moment: datetime) -> datetime:
    """The latest :00, :15, :30 or :45 that is not after the moment."""
    return moment.replace(minute=moment.minute // 15 * 15, second=0, microsecond=0)


def job(start: datetime) -> Job:
    """A job without incident. Its durations, in whole seconds, follow from when it starts."""
    variety = 7 * start.hour + start.minute
    integration = Run(start, start + timedelta(seconds=25 + variety % 16))
    processing = integration.end + timedelta(seconds=3)
    return Job(integration, Run(processing, processing + timedelta(seconds=80 + variety % 21)))


def schedule(now: datetime) -> list[Job]:
    """The jobs of the eight hours up to now, newest first; the newest may still be going."""
    return [job(quarter(now) - number * QUARTER) for number in range(32)]


def with_failing_cube(job: Job) -> Job:
    """The same job, whose cube processing gives up after six minutes."""
    start = job.cube.start
    return job._replace(cube=Run(start, start + timedelta(minutes=6), failed=True))


def status(jobs: Sequence[Job], now: datetime) -> Status:
    """What the portal tells at `now` about these jobs, which are given newest first."""
    integrations = [job.integration for job in jobs if job.integration.start <= now]
    cubes = [job.cube for job in jobs if job.cube.start <= now]
    return {
        "LastSuccessIntegrations": ends(integrations, now, failed=False),
        "LastSuccessCubeProcessings": ends(cubes, now, failed=False),
        "LastFailedIntegrations": ends(integrations, now, failed=True),
        "LastFailedCubeProcessings": ends(cubes, now, failed=True),
        "LastDataIntegrationStart": integrations[0].start if integrations else None,
        "LastCubeProcessingStart": cubes[0].start if cubes else None,
    }


def ends(runs: Sequence[Run], now: datetime, *, failed: bool) -> list[datetime] | None:
    """When the five newest of the failed, or of the other, runs ended; None before any has."""
    ended = [run for run in runs if run.end <= now]
    return [run.end for run in ended if run.failed == failed][:5] if ended else None


def healthy(now: datetime) -> Status:
    """every run succeeds: OK"""
    return status(schedule(now), now)


def late(now: datetime) -> Status:
    """the cube run has been going for over half an hour and delays the next job: WARNING"""
    stalled, *earlier = schedule(now - timedelta(minutes=31))
    still_going = stalled.cube._replace(end=now + HOUR)
    return status([stalled._replace(cube=still_going), *earlier], now)


def failing(now: datetime) -> Status:
    """the cube has failed in every run of five hours, the integration is fresh: CRITICAL"""
    jobs = schedule(now)
    return status([*map(with_failing_cube, jobs[:20]), *jobs[20:]], now)


def recovered(now: datetime) -> Status:
    """the cube failed 10 to 26 minutes ago and has succeeded since: WARNING"""
    jobs = schedule(now)
    succeeded = next(number for number, job in enumerate(jobs) if job.cube.end <= now)
    jobs[succeeded + 1] = with_failing_cube(jobs[succeeded + 1])
    return status(jobs, now)


def stuck(now: datetime) -> Status:
    """SQL Server Agent stopped a day ago, nothing has run since: CRITICAL"""
    return status(schedule(now - DAY), now)


def never_yet(now: datetime) -> Status:
    """the first load has been going for an hour, nothing has ever succeeded: CRITICAL"""
    first_load = Run(quarter(now - HOUR), now + HOUR)
    return status([Job(first_load, cube=Run(first_load.end, first_load.end + HOUR))], now)


def future(now: datetime) -> Status:
    """healthy, but the timestamps are of a time zone one hour ahead: UNKNOWN"""
    return healthy(now + HOUR)


def missing_key(now: datetime) -> Status:
    """healthy, but without LastSuccessCubeProcessings: UNKNOWN"""
    told = healthy(now)
    del told["LastSuccessCubeProcessings"]
    return told


PIPELINES: dict[str, Callable[[datetime], Status]] = {
    "healthy": healthy,
    "late": late,
    "failing": failing,
    "recovered": recovered,
    "stuck": stuck,
    "never-yet": never_yet,
    "future": future,
    "missing-key": missing_key,
}


def answer(
    scenario: str, now: datetime, zone: tzinfo | None = None
) -> dict[str, list[str] | str | None]:
    """The portal's answer at `now` in one of PIPELINES, ready for json.dumps.

    A naive `now` is the portal's local time. An aware one, in UTC, is turned into timestamps of
    `zone` (None: this host's), so that an hour which the zone repeats is repeated in them as well.
    """

    def timestamp(moment: datetime) -> str:
        local = moment.astimezone(zone) if moment.tzinfo else moment
        return local.strftime("%m/%d/%Y %H:%M:%S")

    def timestamps(told: list[datetime] | datetime | None) -> list[str] | str | None:
        if isinstance(told, list):
            return [timestamp(moment) for moment in told]
        return timestamp(told) if told else None

    return {field: timestamps(told) for field, told in PIPELINES[scenario](now).items()}


WORDS = {
    "LastSuccessIntegrations": ("Archive", "QoE Archive Data has ended"),
    "LastFailedIntegrations": (
        "Archive",
        "QoE Archive Data has failed: the SELECT permission was "
        "denied on the object 'Session', database 'QoEMetrics'",
    ),
    "LastSuccessCubeProcessings": ("Cube", "Process Cube has ended"),
    "LastFailedCubeProcessings": (
        "Cube",
        "Process Cube has failed: the attribute key cannot be "
        "found when processing: Table 'dbo_Date', Column 'Date', Value: '1/1/1953'",
    ),
}
"""What the log says of each timestamp; made up, for the documents give no category and no text."""


def log(status: dict[str, Any]) -> list[dict[str, str]]:
    """The portal's log that goes with a status: an entry for each end of a run, newest first."""
    entries = []
    for field, (category, description) in WORDS.items():
        for timestamp in status.get(field) or ():
            moment = datetime.strptime(timestamp, "%m/%d/%Y %H:%M:%S").isoformat() + ".10"
            entries.append(
                {"LogCategory": category, "LogTime": moment, "LogDescription": description}
            )
    return sorted(entries, key=lambda entry: entry["LogTime"], reverse=True)


# --- answers that do not depend on the pipeline ---------------------------------------------------

JSON = "application/json; charset=utf-8"
HTML = "text/html"
Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Reply:
    """One HTTP answer, less the headers that every answer has (Server, Date, Content-Length)."""

    about: str
    status: HTTPStatus = HTTPStatus.OK
    body: bytes = b""
    content_type: str = JSON
    headers: Headers = ()


def page(about: str, status: HTTPStatus, *headers: tuple[str, str]) -> Reply:
    """A short HTML page, as IIS sends one with an error or a redirect."""
    body = f"<html><body><h1>{status.value} - {status.phrase}</h1></body></html>\r\n"
    return Reply(about, status, body.encode(), HTML, headers)


DOCUMENTED = b"""{
"LastSuccessIntegrations": ["01/18/2015 10:30:13",
"01/18/2015 10:28:29",
"01/17/2015 15:15:17",
"01/17/2015 15:00:17",
"01/17/2015 14:45:13"],
"LastSuccessCubeProcessings": ["01/17/2015 15:16:40",
"01/17/2015 15:01:41",
"01/17/2015 14:47:19",
"01/17/2015 14:31:40",
"01/17/2015 14:17:01"],
"LastFailedIntegrations":  ,
"LastFailedCubeProcessings": ["01/18/2015 10:30:58",
"01/18/2015 10:29:28",
"01/17/2015 10:02:20",
"01/15/2015 20:01:56",
"01/15/2015 19:45:50"],
"LastDataIntegrationStart": null,
"LastCubeProcessingStart": "01/18/2015 10:30:16"
}
"""

REPLIES = {
    "documented": Reply(
        "Microsoft's sample of January 2015, its lost value included: CRITICAL", body=DOCUMENTED
    ),
    "disabled": Reply("an empty body, as when the log is switched off: UNKNOWN"),
    "disabled-null": Reply("null, as when the log is switched off: UNKNOWN", body=b"null"),
    "html": page("a web page instead of the status: UNKNOWN", HTTPStatus.OK),
    "broken-json": Reply(
        "JSON that breaks off: UNKNOWN", body=b'{"LastSuccessIntegrations": ["01/18/2015 10:30:13",'
    ),
    "http-401": page(
        "Windows Authentication wants a login: UNKNOWN",
        HTTPStatus.UNAUTHORIZED,
        ("WWW-Authenticate", "Negotiate"),
        ("WWW-Authenticate", "NTLM"),
    ),
    "http-403": page("the login is not allowed to read it: UNKNOWN", HTTPStatus.FORBIDDEN),
    "http-404": page("there is no such page: UNKNOWN", HTTPStatus.NOT_FOUND),
    "http-429": page("too many requests: CRITICAL", HTTPStatus.TOO_MANY_REQUESTS),
    "http-500": page("the web application fails: CRITICAL", HTTPStatus.INTERNAL_SERVER_ERROR),
    "http-503": page("the application pool is stopped: CRITICAL", HTTPStatus.SERVICE_UNAVAILABLE),
    "redirect": page(
        "a redirect to another host: UNKNOWN",
        HTTPStatus.FOUND,
        ("Location", "https://elsewhere.invalid/"),
    ),
    "redirect-same": page(
        f"a redirect to {REDIRECTED_PATH}, which is healthy: OK",
        HTTPStatus.FOUND,
        ("Location", REDIRECTED_PATH),
    ),
}

# --- answers that need the request, the clock or the connection -----------------------------------

USERNAME, PASSWORD = "monitor", "Passw0rd!"
BASIC_LOGIN = "Basic " + base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
BASIC_WANTED = page(
    "no or another login",
    HTTPStatus.UNAUTHORIZED,
    ("WWW-Authenticate", 'Basic realm="cqd"'),
)

MANNERS = {
    "basic": f"healthy, after a basic login as {USERNAME} with {PASSWORD}: OK, else UNKNOWN",
    "huge": "healthy, but behind 1 MiB of blanks: UNKNOWN",
    "slow": "healthy, but one byte of the body each second: CRITICAL",
    "silent": "takes the request and never answers: CRITICAL",
    "close": "takes the request and closes the connection: CRITICAL",
    "no-date": "healthy, without a Date header: OK",
    "clock-behind": "healthy, but the portal's clock is 10 minutes behind: WARNING",
}

SCENARIOS: dict[str, str] = {
    **{name: str(play.__doc__) for name, play in PIPELINES.items()},
    **{name: reply.about for name, reply in REPLIES.items()},
    **MANNERS,
}

# --- the server -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Request:
    """One request as it came. Requests of one connection share their client's port."""

    method: str
    path: str
    headers: Message
    client_port: int


def utc_now() -> datetime:
    """The true time."""
    return datetime.now(timezone.utc)


@final
class PortalSimulator(ThreadingHTTPServer):
    """The portal, reachable from construction on and answering within the `with` block.

    scenario  one of SCENARIOS, for requests whose path names none
    clock     the present moment, as an aware datetime
    zone      of the timestamps; None is this host's
    tls       a server's context makes it an HTTPS portal
    body      answered with 200 in place of the scenario
    bind      the address to listen on
    port      0 takes a free one
    verbose   logs each request on standard error

    url, host and port say where it is, requests what it was asked so far. Leaving the block ends
    every connection and every thread, also those of clients that still wait.
    """

    request_queue_size = 128  # of clients that connect at once; the sixth would wait for a second

    def __init__(
        self,
        scenario: str = "healthy",
        *,
        clock: Callable[[], datetime] = utc_now,
        zone: tzinfo | None = None,
        tls: ssl.SSLContext | None = None,
        body: bytes | None = None,
        bind: str = "127.0.0.1",
        port: int = 0,
        verbose: bool = False,
    ) -> None:
        if scenario not in SCENARIOS:
            raise ValueError(f"no scenario {scenario!r}; there are {', '.join(SCENARIOS)}")
        super().__init__((bind, port), _Connection)
        self.scenario = scenario
        self.clock = clock
        self.zone = zone
        self.tls = tls
        self.body = body
        self.verbose = verbose
        self.host = "localhost" if tls and bind == "127.0.0.1" else bind
        self.port = self.server_port
        self.url = f"{'https' if tls else 'http'}://{self.host}:{self.port}"
        self.requests: list[Request] = []
        self.closing = threading.Event()
        self._connections: dict[socket.socket, threading.Thread] = {}
        # The interval bounds how long leaving the block takes.
        self._listener = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> PortalSimulator:
        self._listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self.shutdown()
        for connection, thread in list(self._connections.items()):
            with suppress(OSError):  # the client may have hung up first
                # Not SSLSocket's own, which takes the TLS state from under the other thread.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
                if os.name == "nt":  # Wine wakes who reads only so
                    socket.close(connection.detach())
            thread.join()
        self._listener.join()
        self.server_close()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, client = super().get_request()
        if self.tls:
            # The first read shakes hands: a client that dawdles there holds up its own thread only.
            connection = self.tls.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        return connection, client

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give the connection a thread, and remember both in order to end them."""
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), daemon=True
        )
        self._connections[request] = thread
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self._connections.pop(request, None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients may hang up, or not trust the certificate; anything else is a bug."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Connection(BaseHTTPRequestHandler):
    """One client's connection, with any number of requests."""

    server: PortalSimulator
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else the body, a write of its own, waits for the head's ACK

    def version_string(self) -> str:
        return "Microsoft-IIS/10.0"

    def log_message(self, format: str, *args: Any) -> None:
        if self.server.verbose:
            super().log_message(format, *args)

    def parse_request(self) -> bool:
        """Every request is recorded, whatever its method and before it is answered."""
        understood = super().parse_request()
        if understood:
            self.server.requests.append(
                Request(self.command, self.path, self.headers, self.client_address[1])
            )
        return understood

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        chosen, slash, rest = path[1:].partition("/")
        if chosen in SCENARIOS:
            scenario, path, body = chosen, slash + rest, None
        else:
            scenario, body = self.server.scenario, self.server.body
        now = self.server.clock().astimezone(timezone.utc)

        if path == LOG_PATH:
            self._send(self._log(self._play(scenario, now), body), now)
        elif path == REDIRECTED_PATH:
            self._send(self._play("healthy", now), now)
        elif path != STATUS_PATH:
            self._send(REPLIES["http-404"], now)
        elif body is not None:
            self._send(Reply("as given", body=body), now)
        elif scenario == "silent":
            self.rfile.read()  # ends when the client, or the portal, hangs up
            self.close_connection = True
        elif scenario == "close":
            self.close_connection = True
        elif scenario == "clock-behind":
            behind = now - timedelta(minutes=10)
            self._send(self._play(scenario, behind), behind)
        elif scenario == "no-date":
            self._send(self._play(scenario, now), date=None)
        elif scenario == "slow":
            self._drip(self._play(scenario, now), now)
        else:
            self._send(self._play(scenario, now), now)

    def _play(self, scenario: str, now: datetime) -> Reply:
        """The scenario's reply, as far as status, headers and body can tell it."""
        if scenario in REPLIES:
            return REPLIES[scenario]
        if scenario == "basic" and self.headers.get("Authorization") != BASIC_LOGIN:
            return BASIC_WANTED
        pipeline = scenario if scenario in PIPELINES else "healthy"
        body = json.dumps(answer(pipeline, now, self.server.zone)).encode()
        if scenario == "huge":
            body = b" " * 2**20 + body
        return Reply(SCENARIOS[scenario], body=body)

    def _log(self, reply: Reply, body: bytes | None) -> Reply:
        """The log that goes with a status; what is not a status, such as an error, as it is."""
        told = reply.body if body is None else body
        try:
            status = json.loads(told.replace(b'Integrations":  ,', b'Integrations": null,'))
        except ValueError:
            return reply
        return Reply("the log", body=json.dumps(log(status or {})).encode())

    def _send(self, reply: Reply, date: datetime | None) -> None:
        self._send_head(reply, date)
        self.wfile.write(reply.body)

    def _drip(self, reply: Reply, date: datetime) -> None:
        """Send the body byte by byte, one each second, until it or the portal ends."""
        self._send_head(reply, date)
        for byte in reply.body:
            self.wfile.write(bytes([byte]))
            if self.server.closing.wait(timeout=1):
                break

    def _send_head(self, reply: Reply, date: datetime | None) -> None:
        self.log_request(reply.status)
        self.send_response_only(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Server", self.version_string())
        if date:
            self.send_header("Date", format_datetime(date, usegmt=True))
        for name, value in reply.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()


# --- the command ----------------------------------------------------------------------------------


def zone_of(name: str) -> tzinfo | None:
    """The zone of an IANA name; None for `local`."""
    try:
        return None if name == "local" else ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise argparse.ArgumentTypeError(
            f"no time zone {name!r}: an IANA name, UTC or local"
        ) from None


def own_certificate(bind: str, ca_out: str | None) -> ssl.SSLContext:
    """TLS under a new authority, whose certificate goes to the file `ca_out` (PEM)."""
    import trustme  # the only need outside the standard library, and only for --tls

    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*{"localhost", "127.0.0.1", bind}).configure_cert(context)
    if ca_out:
        authority.cert_pem.write_to_path(ca_out)
    return context


def main(argv: Sequence[str] | None = None) -> int:
    """Play the portal until SIGINT or SIGTERM."""
    scenarios = "\n".join(f"  {name:14} {about}" for name, about in SCENARIOS.items())
    parser = argparse.ArgumentParser(
        description="Plays the CQD portal of Skype for Business until it is interrupted.",
        epilog=f"scenarios, each with the state that the plugin's defaults give it:\n{scenarios}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--port", type=int, default=0, metavar="N", help="0, the default, takes a free one"
    )
    parser.add_argument(
        "--bind", default="127.0.0.1", metavar="ADDRESS", help="default: %(default)s"
    )
    parser.add_argument(
        "--scenario",
        choices=SCENARIOS,
        default="healthy",
        metavar="NAME",
        help="what to play where the path names nothing else; default: %(default)s",
    )
    parser.add_argument(
        "--timezone",
        type=zone_of,
        default="local",
        metavar="ZONE",
        help="of the timestamps: an IANA name, UTC or local; default: %(default)s",
    )
    parser.add_argument(
        "--tls", action="store_true", help="HTTPS, with a certificate made for it (needs trustme)"
    )
    parser.add_argument(
        "--ca-out", metavar="FILE", help="with --tls: write the authority's certificate (PEM)"
    )
    parser.add_argument("--verbose", action="store_true", help="log each request on standard error")
    parser.add_argument("--list", action="store_true", help="list the scenarios and exit")
    options = parser.parse_args(argv)
    if options.list:
        print(scenarios)
        return 0
    if options.ca_out and not options.tls:
        parser.error("--ca-out needs --tls")
    try:
        portal = PortalSimulator(
            options.scenario,
            zone=options.timezone,
            tls=own_certificate(options.bind, options.ca_out) if options.tls else None,
            bind=options.bind,
            port=options.port,
            verbose=options.verbose,
        )
    except (ImportError, OSError, OverflowError) as error:
        parser.error(str(error))

    ends_it = {signal.SIGINT, signal.SIGTERM}
    # Before the threads start: they inherit it, and no signal is lost before it is waited for.
    signal.pthread_sigmask(signal.SIG_BLOCK, ends_it)
    with portal:
        print(
            f"portal simulator on {portal.url}/ plays {portal.scenario};"
            f" other scenarios: {portal.url}/NAME{STATUS_PATH}",
            flush=True,
        )
        signal.sigwait(ends_it)
    return 0


if __name__ == "__main__":
    sys.exit(main())
