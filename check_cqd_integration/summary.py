"""What is said: the text of the line, and the long output below it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple, cast

from nagiosplugin import Critical, Ok, Results, Summary, Unknown, Warn
from nagiosplugin.state import ServiceState

from .contexts import Age, Finding, Streak
from .pipeline import Pipeline
from .report import MAX_TEXT
from .resource import IntegrationLog
from .thresholds import Limits

if TYPE_CHECKING:
    from .pipeline.log import Entry

_SEVERITY = (Ok, Warn, Unknown, Critical)
_LONGEST = 200
"""Characters of a line that holds words of the portal."""
_ROOM = MAX_TEXT - len("CQD CRITICAL - ")


def worst(results: Results) -> ServiceState:
    """Return the state that counts: CRITICAL before UNKNOWN before WARNING before OK.

    nagiosplugin's own order puts UNKNOWN first; but what is known to be broken must not be hidden
    by what cannot be told.
    """
    return max((result.state for result in results), key=_SEVERITY.index)


class StatusText(Summary):
    """The words for what was found in an integration log.

    ``exchange`` is what went over the wire by the time it is told, line by line, without secrets.
    """

    def __init__(self, log: IntegrationLog, verbosity: int, exchange: list[str]) -> None:
        self._log = log
        self._verbosity = verbosity
        self._exchange = exchange

    def ok(self, results: Results) -> str:
        """Return how old each stage and the data are."""
        if self._log.pipeline is None:  # --unreachable-state ok
            return str(results[0])
        return " / ".join(
            f"{subject.name}: {subject.findings[0]}"
            for subject in _subjects(results)
            if subject.name in ("integration", "cube", "data")
        )

    def problem(self, results: Results) -> str:
        """Return every problem, the worst subject first, in as many words as there is room for."""
        if self._log.pipeline is None:
            return str(results[0])
        subjects = sorted(_subjects(results), key=_Subject.severity, reverse=True)
        for tell in (_Subject.at_length, _Subject.briefly, _Subject.barely):
            text = " / ".join(filter(None, map(tell, subjects)))
            if len(text) <= _ROOM:
                break
        return text

    def troubled(self, results: Results) -> list[str]:
        """Return the names of the stages that are not OK."""
        subjects = _subjects(results) if self._log.pipeline else []
        return [
            subject.name
            for subject in subjects
            if subject.name in self._log.stages and subject.severity() > 0
        ]

    def verbose(self, results: Results) -> list[str]:
        """Return a line a subject and hints (-v), the timeline (-vv) and what was sent (-vvv).

        What the portal's log says is among them at any verbosity, if it was asked.
        """
        lines: list[str] = []
        if self._log.pipeline is not None:
            lines = self._of_pipeline(self._log.pipeline, results)
        elif self._verbosity >= 1:
            state = str(results[0].state).upper()
            lines = [f"[{state}] {stage}: not read" for stage in self._log.stages]
        if self._verbosity >= 3:
            lines += self._exchange
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
        if self._verbosity >= 1 and (troubled := self.troubled(results)):
            from .report import (
                hints,  # here, as the next one, so that only who wants it pays for it
            )

            lines += hints.likely_causes(seen, troubled)
        if self._verbosity >= 2:
            from .report import timeline

            lines += timeline.chart(seen, _age_limits(results))
            lines += timeline.list_timestamps(seen)
        return lines


class _Subject(NamedTuple):
    """All findings on one stage, on the data, on the clock or on the portal."""

    name: str
    findings: list[Finding]

    def severity(self) -> int:
        return max(map(_severity, self.findings))

    def at_length(self) -> str:
        told = sorted(filter(Finding.is_told, self.findings), key=_severity, reverse=True)
        if self.severity() > 0:
            return f"{self.name}: {', '.join(map(str, told))}"
        told = [finding for finding in told if not isinstance(finding.measure, Streak)]
        return f"{self.name} ok, {', '.join(map(str, told))}" if told else ""

    def briefly(self) -> str:
        return self._problems(Finding.briefly)

    def barely(self) -> str:
        return self._problems(Finding.barely)

    def in_full(self) -> str:
        told = f"{self.name}: {', '.join(map(str, self.findings))}"
        if self.severity() == 0 and not any(finding.is_limited() for finding in self.findings):
            return told  # a green dot would say that it is fine, which nobody has said
        return f"[{str(_SEVERITY[self.severity()]).upper()}] {told}"

    def _problems(self, tell: Callable[[Finding], str]) -> str:
        told = [
            tell(finding)
            for finding in sorted(self.findings, key=_severity, reverse=True)
            if finding.state != Ok
        ]
        return f"{self.name}: {', '.join(told)}" if told else ""


def _severity(finding: Finding) -> int:
    return _SEVERITY.index(finding.state)


def _subjects(results: Results) -> list[_Subject]:
    findings = cast("list[Finding]", results.results)
    return [
        _Subject(name, list(group))
        for name, group in groupby(findings, key=lambda finding: finding.measure.subject)
    ]


def _logged(entry: Entry, seen: Pipeline) -> str:
    time = entry.moment.astimezone(seen.zone).isoformat(" ")
    return _cut(f"log {time}  {entry.category}: {entry.description}")


def _cut(line: str) -> str:
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."


def _age_limits(results: Results) -> dict[str, Limits]:
    return {
        subject.name: finding.measure.limits
        for subject in _subjects(results)
        for finding in subject.findings
        if isinstance(finding.measure, Age)
    }
