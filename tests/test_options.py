"""The command line: what is accepted, what is refused, and with which words."""

from __future__ import annotations

import argparse
import os
import re
import shlex
from datetime import datetime, timezone
from pathlib import Path

import pytest
from expected import AT_DOCUMENTED_MOMENT, DOCUMENTED_LINE, REPLAY, Run, item
from nagiosplugin import Critical, Ok, Range, Warn

from check_cqd_integration.errors import UsageError
from check_cqd_integration.options import WORDS, build_parser, parse

WITHOUT_OPTION = (
    "argument without option; name the portal with --hostname, and quote what has blanks"
)


def usage(message: str) -> tuple[int, str]:
    return 3, f"CQD UNKNOWN - {message} (see --help)\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", "give one of --hostname, --url and --input"),
        ("-H a --input b", "give only one of --hostname, --url and --input"),
        ("-H a -u http://b/", "give only one of --hostname, --url and --input"),
        ("-u http://b/ --http", "--port and --http belong to --hostname, not to --url"),
        ("-u http://b/ -p 81", "--port and --http belong to --hostname, not to --url"),
        ("-H a --client-key b", "--client-key belongs to --client-cert"),
        ("-H a --insecure --ca-file b", "--insecure would ignore --ca-file"),
        ("-H a --password hunter2", "unknown option --password"),
        ("-H a --password=hunter2", "unknown option --password"),
        ("-H a --time 5", "unknown option --time"),
        ("-H a hunter2", WITHOUT_OPTION),
        ("cqd.example.com", WITHOUT_OPTION),
        ("-H a --ca-file My CA.pem", WITHOUT_OPTION),
        ("-H a -ahunter2", "unknown option -a"),
        ("-H a --http=hunter2", "argument --http: takes no value"),
        ("--input https://user:hunter2@a/", "argument --input: not a file but a URL; use --url"),
        (
            "-H a --auth user:hunter2",
            "argument --auth: not one of auto, none, basic, ntlm, kerberos",
        ),
        (
            "-H a -l user:hunter2",
            "argument -l/--username: a name has no colon; give a password by --password-file",
        ),
        ("-H a --now 0001-01-01T00:00+01:00", "--now is beyond the ends of the calendar"),
        ("-H a -w", "argument -w/--warning: expected one argument"),
    ],
)
def test_usage_error(run: Run, options: str, message: str) -> None:
    assert run(*options.split()) == usage(message)


def test_value_of_a_short_switch_is_not_repeated(run: Run) -> None:
    code, out = run("-H", "a", "-vsecret")  # in other words from Python 3.12 on
    assert code == 3
    assert "ecret" not in out


RANGES = "is not a range such as 30m, 30m:, 10m:20m, ~:1h or @10m:20m"
DURATIONS = "is not a duration such as 90, 90s, 30m, 1h30m, 2d or 1w"
URL = "argument -u/--url: not a URL like https://HOST/PATH, without user and password"
PROXY = "argument --proxy: not a proxy like http://HOST:PORT, without user and password"
HOST = (
    "argument -H/--hostname: not a host name or address; give a port with --port, a URL with --url"
)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-H", "https://cqd"], HOST),
        (["-H", "cqd:8080"], HOST),
        (["-H", "user:hunter2@cqd"], HOST),
        (["-H", "c q d"], HOST),
        (["-H", "::g"], HOST),
        (["-H", "[::g]"], HOST),
        (["-H", "[::1"], HOST),
        (["-H", "::1]"], HOST),
        (["-H", "[[::1]]"], HOST),
        (["-H", "[::1]:8443"], HOST),
        (["-H", "[192.0.2.1]"], HOST),
        (["-H", "[cqd]"], HOST),
        (["-H", "host<b>|x"], HOST),
        (["-H", "\u2100.com"], HOST),
        (["-H", "a", "-p", "0"], "argument -p/--port: not a port, 1 to 65535"),
        (["-H", "a", "-p", "65536"], "argument -p/--port: not a port, 1 to 65535"),
        (["-H", "a", "-phunter2"], "argument -p/--port: not a port, 1 to 65535"),
        (
            ["-u", "https://user:hunter2@cqd/"],
            URL,
        ),
        (["-u", "ftp://cqd/"], URL),
        (["-u", "https://monitor:hunter2#x@cqd/"], URL),
        (["-u", "https://monitor:hunter2/x@cqd/"], URL),
        (["-u", "https://monitor:hunter2\uff20cqd/"], URL),
        (["-H", "a", "--proxy", "http://monitor:hunter2\uff20proxy"], PROXY),
        (["-u", "https:///path"], URL),
        (["-u", 'https://c"qd/'], URL),
        (["-u", "https://*.example.com/"], URL),
        (["-H", "a", "--proxy", "http://pro%78y"], PROXY),
        (["-u", "https://cqd/a b"], URL),
        (["-u", "https://cqd:99999/"], URL),
        (["-u", "https://cqd:0/"], URL),
        (
            ["-H", "a", "--proxy", "http://user:hunter2@proxy"],
            PROXY,
        ),
        (
            ["-H", "a", "--proxy", "socks5://proxy"],
            PROXY,
        ),
        (
            ["-H", "a", "--proxy", "http://proxy/path"],
            PROXY,
        ),
        (
            ["-H", "a", "--now", "yesterday"],
            "argument --now: 'yesterday' is not a time like 2015-01-18T10:31:00Z",
        ),
        (
            ["-H", "a", "--timezone", "Europe/Atlantis"],
            "argument --timezone: 'Europe/Atlantis' is not a zone this host knows, like "
            "Europe/Berlin, UTC or local",
        ),
        (
            ["-H", "a", "--timezone", "/etc/passwd"],
            "argument --timezone: '/etc/passwd' is not a zone this host knows, like "
            "Europe/Berlin, UTC or local",
        ),
        (["-H", "a", "--http=hunter2\nhunter3"], "argument --http: takes no value"),
        (
            ["-H", "a", "--stage", "both"],
            "argument --stage: not one of all, integration, cube",
        ),
        (
            ["-H", "a", "--no-success-state", "bad"],
            "argument --no-success-state: not one of ok, warning, critical, unknown",
        ),
        (
            ["-H", "a", "--unreachable-state", "3"],
            "argument --unreachable-state: not one of ok, warning, critical, unknown",
        ),
        (["-H", "a", "-w", "5x"], f"argument -w/--warning: '5x' {DURATIONS}"),
        (["-H", "a", "-c", ":"], f"argument -c/--critical: ':' {RANGES}"),
        (["-H", "a", "-c", "@"], f"argument -c/--critical: '@' {RANGES}"),
        (["-H", "a", "-c", "nan"], f"argument -c/--critical: 'nan' {DURATIONS}"),
        (["-H", "a", "-c=-5"], f"argument -c/--critical: '-5' {DURATIONS}"),
        (
            ["-H", "a", "-w", "2h:1h"],
            "argument -w/--warning: start 7200 must not be greater than end 3600",
        ),
        (
            ["-H", "a", "--streak-warning", "30m"],
            "argument --streak-warning: '30m' is not a whole number such as 0 or 2",
        ),
        (["-H", "a", "--max-skew", "~"], f"argument --max-skew: '~' {DURATIONS}"),
        (["-H", "a", "--running-grace", "1,5h"], f"argument --running-grace: '1,5h' {DURATIONS}"),
        (
            ["-H", "a", "-t", "0"],
            "argument -t/--timeout: '0' is not a number of seconds up to 3600",
        ),
        (
            ["-H", "a", "-t", "nan"],
            "argument -t/--timeout: 'nan' is not a number of seconds up to 3600",
        ),
        (
            ["-H", "a", "-t", "ten"],
            "argument -t/--timeout: 'ten' is not a number of seconds up to 3600",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_value_that_cannot_be_used(run: Run, options: list[str], message: str) -> None:
    assert run(*options) == usage(message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("-w 3h", "-w 3h: the integration's critical is 1h by default; give -c too"),
        (
            "--warning=3h",
            "--warning 3h: the integration's critical is 1h by default; give --critical too",
        ),
        ("-w 90m --integration-critical 2h --cube-critical=", None),
        (
            "-w 180m --integration-critical 4h",
            "-w 180m: the cube's critical is 2h by default; give -c too",
        ),
        ("--stage cube -w 3h", "-w 3h: the cube's critical is 2h by default; give -c too"),
        ("-w 90m -c 1h45m", None),
        ("-w 2h -c 90m", "-w (2h) is looser than -c (90m)"),
        ("-w 2h -c 3h --cube-critical 1h", "-w (2h) is looser than --cube-critical (1h)"),
        (
            "--cube-warning 3h",
            "--cube-warning 3h: the cube's critical is 2h by default; give --cube-critical too",
        ),
        ("--cube-warning 2h", None),
        (
            "--failure-warning 30m: --failure-critical 40m:",
            "--failure-warning (30m:) is looser than --failure-critical (40m:)",
        ),
        ("--failure-warning 30m: --failure-critical 10m:", None),
        (
            "--streak-warning 3",
            "--streak-warning 3: the streak's critical is 2 by default; give --streak-critical too",
        ),
        ("--streak-warning 0: --data-critical 4h", None),
    ],
)
def test_looser_warning(sample: Path, run: Run, options: str, message: str | None) -> None:
    code, out = run(*options.split(), *AT_DOCUMENTED_MOMENT, "--input", str(sample))
    if message is None:
        assert code == 2
    else:
        assert (code, out) == (3, f"CQD UNKNOWN - {message}\n")


@pytest.mark.parametrize(
    ("options", "name", "warning", "critical"),
    [
        ("-c 45m", "integration", "1800", "2700"),
        ("-c 45m", "cube", "", "2700"),
        ("-c 30m", "integration", "", "1800"),
        ("-c 1801", "integration", "1800", "1801"),
        ("-c 10m:2h", "integration", "1800", "600:7200"),  # comes before at 31m
        ("-c 0:", "cube", "3600", "0:"),
        ("--streak-critical 0", "streak", "", "0"),
        ("--failure-critical 40m:", "failure", "", "2400:"),
        ("--failure-critical 10m:", "failure", "1800:", "600:"),
        ("--running-critical 90m", "running", "", "5400"),
        ("-w 45m -c 45m", "cube", "2700", "2700"),
        ("-c 45m --cube-critical 3h", "cube", "3600", "10800"),
    ],
)
def test_default_warning_gives_way_to_a_critical_that_it_could_never_come_before(
    options: str, name: str, warning: str, critical: str
) -> None:
    limits = parse(["-H", "a", *options.split()]).limits
    assert limits[name] == (Range(warning), Range(critical))


def test_limit_that_gave_way_is_in_no_performance_data(run: Run, sample: Path) -> None:
    code, out = run(*REPLAY, str(sample), "-c", "45m")
    assert (code, out) == (
        2,
        DOCUMENTED_LINE.replace("(limit 2h)", "(limit 45m)")
        .replace(item("cube_age", 69260), item("cube_age", 69260, "", "2700"))
        .replace(item("integration_age", 47), item("integration_age", 47, "1800", "2700")),
    )


@pytest.mark.parametrize(
    ("stage", "options"),
    [
        ("integration", "-c 45m"),
        ("integration", "--cube-warning 5h"),
        ("integration", "--cube-warning 5h --cube-critical 1m"),
        ("cube", "-w 90m"),
        ("cube", "--integration-warning 5h --integration-critical 1m"),
    ],
)
def test_limits_of_a_stage_that_is_not_graded_are_not_looked_at(stage: str, options: str) -> None:
    limits = parse(["-H", "a", "--stage", stage, *options.split()]).limits
    assert {"integration", "cube"} & set(limits) == {stage}


@pytest.mark.parametrize(
    ("options", "url"),
    [
        ("-H cqd.example.com", "https://cqd.example.com/QoEDataService/IntegrationLog/Status"),
        ("-H 192.0.2.1 --http", "http://192.0.2.1/QoEDataService/IntegrationLog/Status"),
        (
            "-H 2001:db8::1 -p 8443",
            "https://[2001:db8::1]:8443/QoEDataService/IntegrationLog/Status",
        ),
        ("-H [2001:db8::1]", "https://[2001:db8::1]/QoEDataService/IntegrationLog/Status"),
        (
            "-H [fe80::1%eth0] -p 8443",
            "https://[fe80::1%eth0]:8443/QoEDataService/IntegrationLog/Status",
        ),
        ("-u https://cqd:444/x?y=z", "https://cqd:444/x?y=z"),
        ("-u http://[fe80::1%25eth0]:8080/", "http://[fe80::1%25eth0]:8080/"),
    ],
)
def test_url_that_is_asked(options: str, url: str) -> None:
    assert parse(options.split()).url == url


def test_empty_values_count_as_not_given() -> None:
    actions = [action for action in build_parser()._actions if action.metavar]
    empty = [f"{action.option_strings[-1]}=" for action in actions]
    assert empty
    assert vars(parse([*empty, "-H", "cqd"])) == vars(parse(["-H", "cqd"]))
    assert vars(parse(["-H", "cqd", *empty])) == vars(parse(["-H", "cqd"]))


def test_thresholds_of_both_stages_give_way_to_those_of_one() -> None:
    limits = parse(["-H", "a", "-w", "10m", "-c", "20m", "--cube-critical", "40m"]).limits
    assert limits["integration"].warning == limits["cube"].warning == Range("600")
    assert limits["integration"].critical == Range("1200")
    assert limits["cube"].critical == Range("2400")


@pytest.mark.parametrize("now", ["2015-01-18T10:31:00Z", "2015-01-18T11:31:00+01:00"])
def test_now_with_an_offset(now: str) -> None:
    moment = parse(["-H", "a", "--now", now, "--timezone", "Asia/Tokyo"]).now
    assert moment.isoformat() == "2015-01-18T10:31:00+00:00"


def test_now_without_an_offset_is_in_the_zone_of_the_portal() -> None:
    moment = parse(["-H", "a", "--timezone", "Asia/Tokyo", "--now", "2015-01-18T19:31:00"]).now
    assert moment.isoformat() == "2015-01-18T10:31:00+00:00"


@pytest.mark.skipif(os.name == "nt", reason="Windows has a zone of its own")
@pytest.mark.parametrize("zone", [[], ["--timezone", "local"]])
def test_zone_of_this_host_is_the_default(zone: list[str]) -> None:
    assert parse(["-H", "a", *zone]).timezone is None


def test_states_are_names_in_any_case() -> None:
    options = parse(["-H", "a", "--unreachable-state", "Warning", "--no-success-state", "OK"])
    assert (options.unreachable_state, options.no_success_state) == (Warn, Ok)
    assert parse(["-H", "a"]).unreachable_state == Critical


def test_help_has_its_groups_and_fits_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = build_parser().format_help()
    assert (
        "\n\nCheck how old the data of a Skype for Business Call Quality Dashboard (CQD)\n" in text
    )
    groups = ["request", "thresholds", "time", "login", "network", "output"]
    assert re.findall("^([a-z]+):$", text, re.M) == [*groups, "examples"]
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--proxy", "http://proxy.example.com:3128"),
        ("--proxy", "http://proxy.example.com:3128/"),
        ("--proxy", "http://[::1]"),
        ("--url", "https://cqd.example.com/Status?mail=a@example.com"),
    ],
)
def test_address_is_taken_as_it_is(option: str, value: str) -> None:
    given = ["--url", value] if option == "--url" else ["-H", "a", option, value]
    assert vars(parse(given))[option.strip("-")] == value


@pytest.mark.parametrize("value", ["https://proxy:3128", "http://proxy/X", "proxy:3128"])
def test_proxy_that_is_none(value: str) -> None:
    with pytest.raises(UsageError, match="--proxy"):
        parse(["-H", "a", "--proxy", value])


def test_values_at_the_end_of_what_is_taken() -> None:
    assert [parse(["-H", "a", "-p", port]).port for port in ("1", "65535")] == [1, 65535]
    assert parse(["-H", "a", "-t", "3600"]).timeout == 3600
    for letter in "Zz":
        now = parse(["-H", "a", "--now", f"2015-01-18T10:31:00{letter}"]).now
        assert now == datetime(2015, 1, 18, 10, 31, tzinfo=timezone.utc)


def test_default_is_the_one_that_is_told() -> None:
    as_they_are = vars(parse(["-H", "a"]))
    compared = set()
    for option in build_parser()._actions:
        told = re.search(r"\(default: (\w+)\)$", option.help or "")
        if told and option.default is not None:
            as_told = vars(parse(["-H", "a", option.option_strings[-1], told[1]]))
            assert as_told[option.dest] == as_they_are[option.dest]
            compared.add(option.dest)
    assert compared >= {"date_order", "login_retry", "max_skew", "running_grace", "timeout"}


def test_help_ends_with_examples_and_where_the_manual_is() -> None:
    text = str(build_parser().epilog)
    examples, _, manual = text.partition("\nexamples:\n")[2].partition("\nmanual: ")
    lines = re.split(r"\n(?=  check)", examples.replace("\\\n", "").strip())
    for line in lines:
        program, *options = shlex.split(line)
        assert program == "check_cqd_integration"
        assert parse(options).hostname == "portal.example.com"
    assert len(lines) == 2
    assert manual.startswith("docs/ ")


@pytest.mark.parametrize("state", ["warning", "critical"])
def test_help_tells_the_defaults_of_both_stages(state: str) -> None:
    told = {name: a.help or "" for a in build_parser()._actions for name in a.option_strings}
    defaults = [
        f"{re.findall('default: (.*)[)]', told[f'--{stage}-{state}'])[0]} for the {stage}"
        for stage in ("integration", "cube")
    ]
    assert told[f"--{state}"].endswith(f"of both stages (default: {', '.join(defaults)})")


@pytest.mark.parametrize("option", [a for a in build_parser()._actions if a.metavar in WORDS])
def test_words_that_a_value_may_be_are_told(option: argparse.Action) -> None:
    """In the option's own help, but those of a STATE, which are told once for all."""
    parser = build_parser()
    told = str(parser.epilog if option.metavar == "STATE" else option.help)
    *words, last = WORDS[str(option.metavar)]
    assert f"{', '.join(words)} or {last}" in told
