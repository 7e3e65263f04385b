"""What is said: the text of the line, and the long output below it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple, cast

from nagiosplugin import Critical, Ok, Result, Results, Summary, Unknown, Warn
from nagiosplugin.state import ServiceState

from .contexts import Finding, Told
from .pipeline import Pipeline
from .report import MAX_TEXT
from .resource import IntegrationLog
from .thresholds import NO_LIMITS

if TYPE_CHECKING:
    from .pipeline.log import Entry

_SEVERITY = (Ok, Warn, Unknown, Critical)
_LONGEST = 200
"""Characters of a line that holds words of the portal."""
_ROOM = MAX_TEXT - len("CQD CRITICAL - ")
_FULL, _BRIEF, _SHORTEST = range(3)
"""The ``texts`` of a finding."""


def worst(results: Iterable[Result]) -> ServiceState:
    """Return the state that counts: CRITICAL before UNKNOWN before WARNING before OK.

    nagiosplugin's own order puts UNKNOWN first; but what is known to be broken must not be hidden
    by what cannot be told.
    """
    return _SEVERITY[max(map(_severity, results))]


class StatusText(Summary):
    """The words for what was found in an integration log.

    ``exchange`` returns what went over the wire so far, line by line, without secrets.
    """

    def __init__(
        self, log: IntegrationLog, verbosity: int, exchange: Callable[[], list[str]]
    ) -> None:
        self._log = log
        self._verbosity = verbosity
        self._exchange = exchange

    def ok(self, results: Results) -> str:
        """Return how old each stage and the data are."""
        return " / ".join(
            _about(finding.subject, finding.texts[_FULL])
            for finding in _findings(results)
            if Told.OK_LINE in finding.told
        )

    def problem(self, results: Results) -> str:
        """Return every problem, the worst subject first, in as many words as there is room for."""
        subjects = sorted(_subjects(results), key=_severity, reverse=True)
        for length in (_FULL, _BRIEF, _SHORTEST):
            told = [subject.in_alert(length) for subject in subjects]
            text = " / ".join(filter(None, told))
            if len(text) <= _ROOM:
                break
        return text

    def troubled(self, results: Results) -> list[str]:
        """Return the names of the stages that are not OK."""
        subjects = _subjects(results)
        return [
            each.name for each in subjects if each.name in self._log.stages and each.state != Ok
        ]

    def verbose(self, results: Results) -> list[str]:
        """Return what comes below the line.

        At -v that is a line for each subject, and hints; at -vv the timeline and all timestamps; at
        -vvv what went over the wire, and how an answer begins that could not be read, so that it
        can be reported. What the portal's log says is there at any verbosity, if it was asked.
        """
        lines: list[str] = []
        if self._log.pipeline is not None:
            lines = self._of_pipeline(self._log.pipeline, results)
        elif self._verbosity >= 1:
            state = str(worst(results)).upper()
            lines = [f"[{state}] {stage}: not read" for stage in self._log.stages]
            lines += self._hints(results)
        if self._verbosity >= 3:
            lines += self._exchange()
            unread, secrets = self._log.unread, self._log.secrets
            if unread is not None and (excerpt := unread.excerpt(secrets)):
                lines.append(f"answer: {excerpt}")
        return lines

    def _of_pipeline(self, seen: Pipeline, results: Results) -> list[str]:
        lines, excerpt = [], self._log.excerpt
        entries = list(excerpt.entries) if excerpt else []
        if self._verbosity >= 1:
            for subject in _subjects(results):
                lines.append(subject.in_full())
                lines += [f"  {_logged(e, seen)}" for e in entries if e.stage == subject.name]
                entries = [entry for entry in entries if entry.stage != subject.name]
        lines += [_logged(entry, seen) for entry in entries]
        if excerpt and not excerpt.entries:
            problem = excerpt.problem
            lines.append(_cut(f"log not read: {problem}") if problem else "log is empty")
        lines += self._hints(results)
        if self._verbosity >= 2:
            from .report import timeline

            limits = {
                finding.subject: finding.limits
                for finding in _findings(results)
                if Told.OK_LINE in finding.told and finding.subject in seen.stages()
            }
            lines += timeline.chart(seen, limits)
            lines += timeline.list_timestamps(seen)
        return lines

    def _hints(self, results: Results) -> list[str]:
        lines: list[str] = []
        if self._verbosity >= 1:
            from .report import hints  # here, as timeline, so that only who wants it pays for it

            if self._log.pipeline is not None and (troubled := self.troubled(results)):
                fine = [stage for stage in self._log.stages if stage not in troubled]
                lines += hints.likely_causes(self._log.pipeline, troubled, fine)
            lines += hints.of_zone(self._log.zone)
        return lines


class _Subject(NamedTuple):
    """All findings on one stage, on the data, on the clock or on the portal."""

    name: str
    findings: list[Finding]

    @property
    def state(self) -> ServiceState:
        return worst(self.findings)

    def in_alert(self, length: int) -> str:
        """Return its problems and, in full, what explains them; nothing if there is neither."""
        alert = Told.OTHER_ALERT if self.state == Ok else Told.OWN_ALERT
        told = [
            finding.texts[length]
            for finding in sorted(self.findings, key=_severity, reverse=True)
            if finding.state != Ok or (length == _FULL and alert in finding.told)
        ]
        text = ", ".join(told)
        if self.state == Ok:
            return f"{self.name} ok, {text}" if told else ""
        return _about(self.name, text)

    def in_full(self) -> str:
        """Return everything, with its state if there is a limit that it could break."""
        text = f"{self.name}: {', '.join(finding.texts[_FULL] for finding in self.findings)}"
        if self.state == Ok and all(each.limits == NO_LIMITS for each in self.findings):
            return text  # a green dot would say that it is fine, which nobody has said
        return f"[{str(self.state).upper()}] {text}"


def _findings(results: Results) -> list[Finding]:
    """Return what the Contexts made, in its order, with its type."""
    return cast("list[Finding]", results.results)


def _subjects(results: Results) -> list[_Subject]:
    findings: dict[str, list[Finding]] = {}
    for finding in _findings(results):
        findings.setdefault(finding.subject, []).append(finding)
    return [_Subject(name, found) for name, found in findings.items()]


def _severity(graded: Result | _Subject) -> int:
    return _SEVERITY.index(graded.state)


def _about(subject: str, text: str) -> str:
    return f"{subject}: {text}" if subject else text


def _logged(entry: Entry, seen: Pipeline) -> str:
    time = entry.moment.astimezone(seen.zone).isoformat(" ")
    return _cut(f"log {time}  {entry.category}: {entry.description}")


def _cut(line: str) -> str:
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."
