"""The command line: one table of options, and what their values must be.

An option whose value is empty counts as not given: so Icinga passes a variable that is not set.
"""

from __future__ import annotations

import argparse
import ipaddress
import re
from collections.abc import Callable, Sequence
from datetime import datetime, timezone, tzinfo
from functools import partial
from typing import Any, NoReturn
from urllib.parse import SplitResult, urlsplit

from nagiosplugin import Critical, Ok, Range, Unknown, Warn
from nagiosplugin.state import ServiceState

from . import __version__
from .errors import UsageError
from .pipeline import DATE_ORDERS, zones
from .thresholds import (
    Limits,
    comes_before,
    is_looser,
    parse_count,
    parse_duration,
    parse_range,
)

STATUS_PATH = "/QoEDataService/IntegrationLog/Status"
_LONGEST_TIMEOUT = 3600
_STATES = {"ok": Ok, "warning": Warn, "critical": Critical, "unknown": Unknown}
WORDS = {
    "STAGE": ("all", "integration", "cube"),
    "STATE": tuple(_STATES),
    "SCHEME": ("auto", "none", "basic", "ntlm", "kerberos"),
    "ORDER": DATE_ORDERS,
}
"""The words that a value of this name may be."""
_THRESHOLDS = {
    "integration": ("age of the integration alone", "30m", "1h"),
    "cube": ("age of the cube alone", "1h", "2h"),
    "failure": ("time since the newest failure of a stage", "30m:", ""),
    "streak": ("number of failures of a stage since its newest success", "0", "2"),
    "running": ("time that a run in progress has been going", "2h", ""),
    "data": ("age of the data that the dashboard shows", "", ""),
}
"""What is limited, and the default ranges of WARNING and CRITICAL."""
_DESCRIPTION = """\
Check how old the data of a Skype for Business Call Quality Dashboard (CQD)
are, and whether its integration and cube processing fail.
"""
_EPILOG = r"""
RANGE is a Nagios range whose ends may be durations: 90, 90s, 30m, 1h30m, 2d,
1w, 30m:, 10m:20m, ~:1h, @10m:20m; the range 0: never alerts.
STATE is ok, warning, critical or unknown.
Exit codes: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN, help and version.

examples:
  check_cqd_integration -H portal.example.com --timezone Europe/Berlin -v
  check_cqd_integration -H portal.example.com -l 'EXAMPLE\svc-cqd' \
      --password-file /etc/cqd/password

manual: docs/ in the source; /usr/share/doc/check-cqd-integration where the
package of the distribution is installed
"""
"""What --help ends with; a test runs the examples."""


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the checked values of all options, defaults included.

    ``limits`` holds the ``Limits`` by name, but not those of a stage that is not graded.
    Raises UsageError, and SystemExit once --help or --version was shown.
    """
    parser = build_parser()
    options, rest = parser.parse_known_args(argv)
    for word in rest:
        # Without its value, which may be a password.
        option = word.partition("=")[0] if word.startswith("--") else word[:2]
        if option[:1] == "-":
            parser.error(f"unknown option {option}")
        parser.error(
            "argument without option; name the portal with --hostname, and quote what has blanks"
        )
    given = sum(value is not None for value in (options.hostname, options.url, options.input))
    if given != 1:
        parser.error(f"give {'only ' if given else ''}one of --hostname, --url and --input")
    if options.url is not None and (options.port is not None or options.http):
        parser.error("--port and --http belong to --hostname, not to --url")
    if options.client_key is not None and options.client_cert is None:
        parser.error("--client-key belongs to --client-cert")
    if options.insecure and options.ca_file is not None:
        parser.error("--insecure would ignore --ca-file")
    if options.hostname is not None:
        options.url = _status_url(options.hostname, options.port, options.http)
    if options.timezone is None:
        options.timezone = zones.local()
    if options.now is not None:
        try:
            in_zone = (
                options.now if options.now.tzinfo else options.now.replace(tzinfo=options.timezone)
            )
            options.now = in_zone.astimezone(timezone.utc)
        except (OverflowError, ValueError, OSError):
            parser.error("--now is beyond the ends of the calendar")
    if options.log_entries is None:
        options.log_entries = 3 if options.verbose and options.input is None else 0
    not_graded = {"integration": "cube", "cube": "integration"}.get(options.stage)
    options.limits = {name: _limits(options, name) for name in _THRESHOLDS if name != not_graded}
    return options


def build_parser() -> argparse.ArgumentParser:
    """Return the table of all options."""
    parser = _Parser(
        prog="check_cqd_integration",
        usage="%(prog)s (-H HOST | -u URL | --input FILE) [OPTION]...",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_help=False,
    )
    parser.set_defaults(typed={})  # the option and the value as they were given, by destination

    group = parser.add_argument_group("request")
    add = partial(_add, group)
    add("-H, --hostname HOST", _host, f"portal host; asks https://HOST{STATUS_PATH}")
    add("-p, --port PORT", _port, "port (default: 443, with --http 80)")
    group.add_argument("--http", action="store_true", help="plain HTTP")
    add("-u, --url URL", _web_url, "the whole URL in place of --hostname")
    add("--input FILE", _file, "grade a saved answer (-: standard input); no network")
    add(
        "--now TIME",
        _moment,
        "the clock, ISO 8601, for replaying a saved answer; without an offset it is in --timezone",
    )
    add(
        "--stage STAGE",
        partial(_word, "STAGE"),
        "grade all, integration or cube (default: all)",
        "all",
    )

    group = parser.add_argument_group("thresholds")
    add = partial(_add, group)
    for option, index in (("-w, --warning", 1), ("-c, --critical", 2)):
        state = option.rpartition("-")[2]
        integration, cube = (_THRESHOLDS[stage][index] for stage in ("integration", "cube"))
        explanation = (
            f"{state.upper()} for the age, the time since the newest success, of both stages "
            f"(default: {integration} for the integration, {cube} for the cube)"
        )
        add(f"{option} RANGE", parse_range, explanation)
    for name, (what, *defaults) in _THRESHOLDS.items():
        for state, default in zip(("warning", "critical"), defaults):
            explanation = f"{state.upper()} for the {what} (default: {default or 'none'})"
            add(f"--{name}-{state} RANGE", _range_of(name), explanation)
    add(
        "--running-grace DURATION",
        parse_duration,
        "while a run younger than this is in progress, ages are graded as they were when it "
        "started (default: 0)",
        0,
    )
    add(
        "--no-success-state STATE",
        _state,
        "state of a stage that has never succeeded (default: critical)",
        Critical,
    )

    group = parser.add_argument_group("time")
    add = partial(_add, group)
    add(
        "--timezone ZONE",
        _zone,
        "zone of the portal's timestamps: an IANA name, a name as Windows gives it (tzutil /g), "
        "UTC or local (default: local)",
    )
    add(
        "--date-order ORDER",
        partial(_word, "ORDER"),
        "mdy or dmy: whether the month or the day comes first in a timestamp that is not ISO "
        "(default: mdy)",
        "mdy",
    )
    add(
        "--max-skew DURATION",
        parse_duration,
        "tolerated difference between the clocks, and how far ahead a timestamp may be (default: "
        "5m)",
        300,
    )

    group = parser.add_argument_group("login")
    add = partial(_add, group)
    add(
        "--auth SCHEME",
        partial(_word, "SCHEME"),
        "auto, none, basic, ntlm or kerberos; auto asks without a login, then tries one scheme "
        "that the portal offers: kerberos with a keytab or ticket, else ntlm, else basic over "
        "https; on Windows, auto, kerberos and ntlm without --username log in as the account that "
        "runs the check (default: none without --username, else auto)",
    )
    add("-l, --username NAME", _user, r"DOMAIN\user, user@REALM or user")
    add(
        "--password-file FILE",
        str,
        "its first line is the password; in place of it, the environment variable CQD_PASSWORD",
    )
    add(
        "--keytab FILE",
        str,
        "Kerberos keytab of --username; with neither keytab nor password, the ticket cache is used",
    )
    add(
        "--login-retry DURATION",
        parse_duration,
        "how long after a refused login the same credentials are tried again; 0: always (default: "
        "1h)",
        3600,
    )
    add(
        "--state-dir DIR",
        str,
        "where refused logins are remembered (default: check_cqd_integration in the user's state "
        "directory)",
    )
    group.add_argument(
        "--no-channel-binding",
        dest="channel_binding",
        action="store_false",
        help="send no channel binding token; needed behind a proxy that ends TLS",
    )

    group = parser.add_argument_group("network")
    add = partial(_add, group)
    add(
        "--ca-file FILE",
        str,
        "PEM file of the CA certificates to trust (default: those of the operating system)",
    )
    add("--client-cert FILE", str, "PEM file of the certificate to show")
    add("--client-key FILE", str, "PEM file of its key, if that is in a file of its own")
    group.add_argument(
        "--insecure",
        action="store_true",
        help="trust every certificate, and allow a basic login over plain HTTP",
    )
    add(
        "--proxy URL",
        _proxy_url,
        "http://HOST:PORT; proxy variables of the environment are not read",
    )
    add(
        "--unreachable-state STATE",
        _state,
        "state if the portal gives no usable answer (default: critical)",
        Critical,
    )
    add("-t, --timeout SECONDS", _timeout, "limit for the whole check (default: 10)", 10.0)

    group = parser.add_argument_group("output")
    add = partial(_add, group)
    add(
        "--log-entries N",
        parse_count,
        "how many entries of the portal's own log to show for each stage that is not OK (default: "
        "3 with -v, else 0)",
    )
    group.add_argument(
        "-v",
        "--verbose",
        action="count",
        default=0,
        help="-v: a line for each stage, and the portal's log and hints if one is not OK; -vv: a "
        "timeline and all timestamps; -vvv: what went over the wire, without secrets, and how an "
        "answer begins that cannot be read",
    )
    group.add_argument(
        "-V",
        "--version",
        action="version",
        version=f"%(prog)s {__version__}",
        help="show the version",
    )
    group.add_argument("-h", "--help", action="help", help="show this help")
    return parser


class _Parser(argparse.ArgumentParser):
    """argparse, with its errors as UsageError."""

    def error(self, message: str) -> NoReturn:
        # Without the value that a switch does not take: it may be a password.
        message = re.sub("ignored explicit argument.*", "takes no value", message)
        raise UsageError(f"{message} (see --help)")


class _StoreIfGiven(argparse.Action):
    """Store the converted value, unless it is empty."""

    def __init__(self, *args: Any, convert: Callable[[str], Any], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._convert = convert

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        if values:
            try:
                setattr(namespace, self.dest, self._convert(values))
            except ValueError as error:
                raise argparse.ArgumentError(self, str(error)) from error
            namespace.typed = {**namespace.typed, self.dest: (option_string, values)}


def _add(
    group: argparse._ArgumentGroup,
    usage: str,
    convert: Callable[[str], Any],
    explanation: str,
    default: Any = None,
) -> None:
    *names, metavar = usage.replace(",", "").split()
    group.add_argument(
        *names,
        metavar=metavar,
        action=_StoreIfGiven,
        convert=convert,
        help=explanation,
        default=default,
    )


def _limits(options: argparse.Namespace, name: str) -> Limits:
    """Return the limits of this name: its own options, else those of both stages, else defaults.

    A default warning gives way to a critical that it could never come before.
    """
    given = [_given(options, name, state) for state in ("warning", "critical")]
    warning, critical = (
        getattr(options, dest) if dest else _range_of(name)(default) if default else Range("")
        for dest, default in zip(given, _THRESHOLDS[name][1:])
    )
    if given[0] is None:
        return Limits(warning if comes_before(warning, critical) else Range(""), critical)
    if warning != Range("") and is_looser(warning, critical):
        option, text = options.typed[given[0]]
        if given[1] is not None:
            other, limit = options.typed[given[1]]
            raise UsageError(f"{option} ({text}) is looser than {other} ({limit})")
        remedy = "-c" if option == "-w" else option.replace("warning", "critical")
        raise UsageError(
            f"{option} {text}: the {name}'s critical is {_THRESHOLDS[name][2]} by default; give "
            f"{remedy} too"
        )
    return Limits(warning, critical)


def _given(options: argparse.Namespace, name: str, state: str) -> str | None:
    """Return where the option that gives this limit is stored; None if none does."""
    for option in (f"{name}_{state}", state if name in ("integration", "cube") else ""):
        if option in options.typed:
            return option
    return None


def _range_of(name: str) -> Callable[[str], Range]:
    """Return what reads the ranges of these limits: of counts or of durations."""
    return partial(parse_range, end=parse_count if name == "streak" else parse_duration)


def _status_url(host: str, port: int | None, plain: bool) -> str:
    scheme = "http" if plain else "https"
    return f"{scheme}://{host}{'' if port is None else f':{port}'}{STATUS_PATH}"


def _host(text: str) -> str:
    try:
        bracketed = re.fullmatch(r"\[(.*)\]", text)
        return f"[{ipaddress.IPv6Address(bracketed[1] if bracketed else text)}]"
    except ValueError:
        pass
    if not re.fullmatch(r"[\w.-]+", text):
        raise ValueError("not a host name or address; give a port with --port, a URL with --url")
    return text


def _port(text: str) -> int:
    if not re.fullmatch("[0-9]{1,5}", text) or not 0 < int(text) < 65536:
        raise ValueError("not a port, 1 to 65535")
    return int(text)


def _web_url(text: str) -> str:
    parts = _split(text)
    if parts is None or parts.scheme not in ("http", "https"):
        raise ValueError("not a URL like https://HOST/PATH, without user and password")
    return text


def _proxy_url(text: str) -> str:
    parts = _split(text)
    if parts is None or parts.scheme != "http" or parts.path.strip("/"):
        raise ValueError("not a proxy like http://HOST:PORT, without user and password")
    return text


def _split(text: str) -> SplitResult | None:
    """Return the parts of a URL; None for one that is broken, or may hold a password."""
    try:
        parts = urlsplit(text)
        _host(parts.hostname or "")
        if parts.port == 0:  # raises ValueError, as urlsplit does, with the text in it
            return None
    except ValueError:
        return None
    return None if re.search(r"[\s@]", text.partition("?")[0]) else parts


def _user(text: str) -> str:
    if ":" in text:  # Windows allows none, and the name is told in messages
        raise ValueError("a name has no colon; give a password by --password-file")
    return text


def _file(text: str) -> str:
    if "://" in text:
        raise ValueError("not a file but a URL; use --url")
    return text


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(re.sub("[Zz]$", "+00:00", text))
    except ValueError:
        raise ValueError(f"{text!r} is not a time like 2015-01-18T10:31:00Z") from None


def _zone(text: str) -> tzinfo | None:
    return None if text == "local" else zones.named(text)


def _timeout(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= _LONGEST_TIMEOUT:
        raise ValueError(f"{text!r} is not a number of seconds up to {_LONGEST_TIMEOUT}")
    return seconds


def _state(text: str) -> ServiceState:
    return _STATES[_word("STATE", text.lower())]


def _word(name: str, text: str) -> str:
    if text not in WORDS[name]:  # which is not told: --auth of other tools takes user:password
        raise ValueError(f"not one of {', '.join(WORDS[name])}")
    return text
