"""The portal's answer, read: bytes -> the timestamps of the two stages.

The format is the one of Microsoft's "Get Last Integration Data", which publishes its sample with
one value lost (``"LastFailedIntegrations":  ,``). A key of ours without a value is therefore read
as "none"; nothing else is repaired. The document names no time zone of the timestamps.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any, NamedTuple, NoReturn

from ..errors import AnswerError, Said
from .timestamps import kind_of, parse_timestamp

Timestamps = tuple[datetime, ...]


class StageLog(NamedTuple):
    """What the portal lists of one stage, in its own order and local time, or with its offset."""

    successes: Timestamps
    failures: Timestamps
    started: datetime | None
    """When the newest run began; it stays set after the run has ended."""


class IntegrationStatus(NamedTuple):
    """The answer of ``IntegrationLog/Status``: one log for each stage of the pipeline."""

    integration: StageLog
    cube: StageLog


_INTEGRATION_KEYS = (
    "LastSuccessIntegrations",
    "LastFailedIntegrations",
    "LastDataIntegrationStart",
)
_CUBE_KEYS = (
    "LastSuccessCubeProcessings",
    "LastFailedCubeProcessings",
    "LastCubeProcessingStart",
)
_BLANKS = " \t\r\n"
_LOST_VALUE = rf'"(?:{"|".join(_INTEGRATION_KEYS + _CUBE_KEYS)})"[{_BLANKS}]*:(?=[{_BLANKS}]*[,}}])'
_STRUCTURE = re.compile(rf'(?P<lost>{_LOST_VALUE})|\\.|["\[\]{{}}]')
"""Whatever tells how deep in the answer a place is, read from left to right."""
_DISABLED = (
    "the portal's integration log is disabled; in QoEDataService/web.config of the portal set "
    "QoEDataLib.DebugMode to True"
)


def parse_status(body: bytes, date_order: str = "mdy") -> IntegrationStatus:
    """Return what the answer says; raises AnswerError, naming the field, if it cannot be read."""
    answer = load(body)
    if not isinstance(answer, dict):
        raise AnswerError(f"the answer is {kind_of(answer)}, not the status object")
    return IntegrationStatus(
        integration=_stage(answer, date_order, *_INTEGRATION_KEYS),
        cube=_stage(answer, date_order, *_CUBE_KEYS),
    )


def load(body: bytes) -> Any:
    """Return the JSON of an answer, lost values repaired.

    Raises AnswerError if it cannot be read, and one that says how to turn the log on if it is the
    empty answer of a portal whose log is off.
    """
    try:
        text = body.decode("utf-8-sig").strip(_BLANKS)
    except UnicodeDecodeError as error:
        raise AnswerError("the answer is not UTF-8 text") from error
    if text in ("", '""', "null"):
        raise AnswerError(_DISABLED)
    if text.startswith("<"):
        raise AnswerError(
            "the answer is a web page, not JSON; is this the CQD portal, and its address right?"
        )
    return _load(_with_lost_values(text))


def _with_lost_values(text: str) -> str:
    """Return the text with ``null`` for each value that a key of the outermost object lacks."""
    depth, is_in_string, parts, end = 0, False, [], 0
    for found in _STRUCTURE.finditer(text):
        if found["lost"]:
            if depth == 1:  # and not within a text, where a backslash is before each quote
                parts += [text[end : found.end()], "null"]
                end = found.end()
        elif found[0] == '"':
            is_in_string = not is_in_string
        elif not is_in_string:
            depth += (found[0] in "{[") - (found[0] in "}]")
    return "".join([*parts, text[end:]])


def _load(text: str) -> Any:
    try:
        return json.loads(
            text,
            object_pairs_hook=_without_doubles,
            parse_constant=_refuse_constant,
            parse_int=float,  # no number of ours is used, and a long integer would take long
        )
    except json.JSONDecodeError as error:
        raise AnswerError(
            f"the answer is broken JSON at line {error.lineno} column {error.colno}: {error.msg}"
        ) from error
    except RecursionError as error:
        raise AnswerError("the answer is broken JSON: nested too deep") from error


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    for key, value in pairs:
        if key in mapping:
            raise AnswerError(Said(key), " is given twice")
        mapping[key] = value
    return mapping


def _refuse_constant(name: str) -> NoReturn:
    raise AnswerError(f"the answer is broken JSON: {name} is not a value")


def _stage(
    answer: dict[str, Any], date_order: str, successes: str, failures: str, started: str
) -> StageLog:
    start = field(answer, started)
    return StageLog(
        successes=_timestamps(successes, field(answer, successes), date_order),
        failures=_timestamps(failures, field(answer, failures), date_order),
        started=None if start is None else parse_timestamp(started, start, date_order),
    )


def field(answer: dict[str, Any], key: str) -> Any:
    """Return the value of a key; raises AnswerError if there is none."""
    if key not in answer:
        raise AnswerError(f"{key} is missing in the answer")
    return answer[key]


def _timestamps(key: str, value: Any, date_order: str) -> Timestamps:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise AnswerError(f"{key} is {kind_of(value)}, not a list of timestamps")
    read = (parse_timestamp(f"{key}[{n}]", item, date_order) for n, item in enumerate(value))
    return tuple(filter(None, read))
