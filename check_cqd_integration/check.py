"""Puts the check together: options -> Resource, Contexts, Summary -> exit code and lines.

nagiosplugin's Check acquires, grades and sums up. Its Runtime is left out: it prints performance
data last, cannot interrupt a name lookup, and ends the process.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, Protocol

from nagiosplugin import Check, Context, Ok, Range

from . import contexts
from .contexts import Measure, Trouble
from .errors import UsageError
from .pipeline import Clock
from .portal import Answer, Deadline, Secrets
from .report import clean, first_line
from .resource import IntegrationLog
from .summary import StatusText, worst
from .thresholds import NO_LIMITS, Limits, in_words

if TYPE_CHECKING:
    from .auth import Credentials


class Source(Protocol):
    """Where an answer comes from."""

    @property
    def secrets(self) -> Secrets:
        """What was sent so far, and must not be shown if it comes back."""

    def exchange(self) -> list[str]:
        """Return what went over the wire so far, line by line, without secrets."""

    def fetch(self, deadline: Deadline) -> Answer:
        """Return the answer or raise a PluginError, noting its steps in the deadline."""

    def fetch_log(self, deadline: Deadline) -> bytes:
        """Return the portal's log likewise, once there was an answer."""

    def close(self) -> None:
        """Close what was opened."""


def run(options: Namespace) -> tuple[int, list[str]]:
    """Return the exit code and the lines to print.

    Raises UsageError, before anything is asked, if the options do not fit this host.
    """
    # Windows' firewall drops what is for a port where nobody listens.
    may_be_plain = options.hostname and options.port is None and not (options.http or options.proxy)
    deadline = Deadline(options.timeout, " If it has no HTTPS, give --http" if may_be_plain else "")
    source = deadline.run(lambda: _source(options))  # a file of a login may be on a network
    stages = ("integration", "cube") if options.stage == "all" else (options.stage,)
    log = IntegrationLog(
        fetch=lambda: deadline.run(lambda: source.fetch(deadline)),
        clock=lambda: _clock(options),
        stages=stages,
        secrets=source.secrets,
    )
    summary = StatusText(log, options.verbose, source.exchange)
    check = Check(log, summary, *build_contexts(options, stages))
    try:
        check()
        if options.log_entries and (troubled := summary.troubled(check.results)):
            fetch_log = partial(deadline.run, lambda: source.fetch_log(deadline))
            log.read_log(fetch_log, troubled, options.log_entries)
    finally:
        if not deadline.left_work:
            source.close()
    state = worst(check.results)
    blanked = source.secrets.blanked
    lines = [first_line(str(state), blanked(check.summary_str), check.perfdata)]
    lines += [clean(blanked(line)) for line in check.verbose_str]
    return int(state), lines


def _clock(options: Namespace) -> Clock:
    now = options.now or datetime.now(timezone.utc)
    return Clock(now, options.timezone, options.max_skew, options.date_order)


def _source(options: Namespace) -> Source:
    # Imported here, so that only a check over the network pays for requests.
    if options.input is not None:
        from .portal.saved import SavedAnswer

        return SavedAnswer(options.input)
    from .portal.client import Portal
    from .portal.trust import Trust

    trust = Trust(options.ca_file, options.client_cert, options.client_key, options.insecure)
    credentials = _credentials(options)
    refusals = None
    if credentials:
        from .auth import Refusals

        refusals = Refusals(credentials, options.login_retry, options.state_dir)
    return Portal(options.url, trust, options.proxy, credentials, refusals)


def _credentials(options: Namespace) -> Credentials | None:
    scheme = options.auth or ("none" if options.username is None else "auto")
    if options.username is None:
        for option in ("password_file", "keytab"):
            if getattr(options, option) is not None:
                raise UsageError(f"--{option.replace('_', '-')} needs --username")
    if scheme == "none":
        return None
    from .auth import find_credentials

    return find_credentials(
        scheme,
        options.username,
        options.password_file,
        options.keytab,
        is_bound=options.channel_binding,
        is_plain_allowed=options.insecure,
    )


def build_contexts(options: Namespace, stages: Iterable[str]) -> Iterator[Context]:
    """Yield the Context of each metric that the Resource may return."""
    limits, no_success = options.limits, options.no_success_state
    age = partial(contexts.age, grace=options.running_grace)
    for stage in stages:
        yield Measure(f"{stage}_age", stage, age, limits[stage], no_success)
        yield Measure(f"{stage}_streak", stage, contexts.streak, limits["streak"], end=str)
        yield Measure(f"{stage}_last_failure", stage, contexts.last_failure, limits["failure"])
        yield Measure(f"{stage}_running", stage, contexts.running, limits["running"])
        yield Measure(f"{stage}_duration", stage, contexts.last_duration)
    not_known = Ok if limits["data"] == NO_LIMITS else no_success
    yield Measure("data_age", "data", contexts.data_age, limits["data"], not_known)
    in_step = Limits(Range(f"-{options.max_skew}:{options.max_skew}"), Range(""))
    yield Measure("clock_skew", "clock", contexts.skew, in_step, end=in_words)
    yield Measure("response_time", "portal", contexts.response_time)
    yield Trouble("trouble", options.unreachable_state)
