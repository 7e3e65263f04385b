"""Bytes to timestamps: what is read, and how it is told what cannot be."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from portal_simulator import DOCUMENTED

from check_cqd_integration.errors import AnswerError
from check_cqd_integration.pipeline.status import IntegrationStatus, StageLog, parse_status

KEYS = (
    "LastSuccessIntegrations",
    "LastSuccessCubeProcessings",
    "LastFailedIntegrations",
    "LastFailedCubeProcessings",
    "LastDataIntegrationStart",
    "LastCubeProcessingStart",
)
LISTS, STARTS = KEYS[:4], KEYS[4:]
NOTHING = StageLog((), (), None)
TIMESTAMP, MOMENT = "01/18/2015 10:30:13", datetime(2015, 1, 18, 10, 30, 13)
DISABLED = (
    "the portal's integration log is disabled; in QoEDataService/web.config of the portal set "
    "QoEDataLib.DebugMode to True"
)


def answer(**fields: Any) -> bytes:
    """An answer that holds nothing but these fields."""
    return json.dumps({**dict.fromkeys(KEYS), **fields}).encode()


def raw(key: str, value: str) -> bytes:
    """An answer that holds nothing but this text as the value of this key."""
    others = "".join(f', "{other}": null' for other in KEYS if other != key)
    return f'{{"{key}": {value}{others}}}'.encode()


def complaint(body: bytes) -> str:
    with pytest.raises(AnswerError) as caught:
        parse_status(body)
    return str(caught.value)


def test_day_comes_first_in_every_timestamp() -> None:
    written, moment = "05/03/2015 10:30:13", datetime(2015, 3, 5, 10, 30, 13)
    body = answer(**{key: [written] for key in LISTS}, **dict.fromkeys(STARTS, written))
    log = StageLog((moment,), (moment,), moment)
    assert parse_status(body, "dmy") == IntegrationStatus(log, log)


def test_documented_answer() -> None:
    assert parse_status(DOCUMENTED) == IntegrationStatus(
        integration=StageLog(
            successes=(
                datetime(2015, 1, 18, 10, 30, 13),
                datetime(2015, 1, 18, 10, 28, 29),
                datetime(2015, 1, 17, 15, 15, 17),
                datetime(2015, 1, 17, 15, 0, 17),
                datetime(2015, 1, 17, 14, 45, 13),
            ),
            failures=(),
            started=None,
        ),
        cube=StageLog(
            successes=(
                datetime(2015, 1, 17, 15, 16, 40),
                datetime(2015, 1, 17, 15, 1, 41),
                datetime(2015, 1, 17, 14, 47, 19),
                datetime(2015, 1, 17, 14, 31, 40),
                datetime(2015, 1, 17, 14, 17, 1),
            ),
            failures=(
                datetime(2015, 1, 18, 10, 30, 58),
                datetime(2015, 1, 18, 10, 29, 28),
                datetime(2015, 1, 17, 10, 2, 20),
                datetime(2015, 1, 15, 20, 1, 56),
                datetime(2015, 1, 15, 19, 45, 50),
            ),
            started=datetime(2015, 1, 18, 10, 30, 16),
        ),
    )


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b" \r\n\t", b"\xef\xbb\xbf\n"], ids=ascii)
def test_documented_answer_behind(mark: bytes) -> None:
    assert parse_status(mark + DOCUMENTED) == parse_status(DOCUMENTED)


@pytest.mark.parametrize("key", LISTS)
def test_each_list_goes_to_its_place(key: str) -> None:
    log = StageLog((MOMENT,), (), None) if "Success" in key else StageLog((), (MOMENT,), None)
    expected = (NOTHING, log) if "Cube" in key else (log, NOTHING)
    assert parse_status(answer(**{key: [TIMESTAMP]})) == IntegrationStatus(*expected)


@pytest.mark.parametrize("key", STARTS)
def test_each_start_goes_to_its_place(key: str) -> None:
    log = StageLog((), (), MOMENT)
    expected = (NOTHING, log) if "Cube" in key else (log, NOTHING)
    assert parse_status(answer(**{key: TIMESTAMP})) == IntegrationStatus(*expected)


def test_null_and_empty_lists_are_none() -> None:
    nothing = IntegrationStatus(NOTHING, NOTHING)
    assert parse_status(answer()) == nothing
    assert parse_status(answer(**{key: [] for key in LISTS})) == nothing


def test_order_and_doubles_stay_as_they_came() -> None:
    timestamps = ["01/18/2015 10:28:29", TIMESTAMP, TIMESTAMP]
    found = parse_status(answer(LastFailedIntegrations=timestamps)).integration.failures
    assert found == (datetime(2015, 1, 18, 10, 28, 29), MOMENT, MOMENT)


@pytest.mark.parametrize(
    ("moment", "timestamp"),
    [
        (datetime(2015, 3, 18, 10, 28, 29), "03/18/2015 10:28:29"),
        (datetime(2015, 3, 18, 10, 28, 29), "2015-03-18T10:28:29"),
        (datetime(2015, 3, 18, 10, 28, 29), "2015-03-18T10:28:29.10"),
        (datetime(2015, 3, 18, 10, 28, 29), "2015-03-18T10:28:29.999999999"),
        (datetime(2016, 2, 29, 0, 0, 0), "02/29/2016 00:00:00"),
        (datetime(9999, 12, 31, 23, 59, 59), "9999-12-31T23:59:59"),
    ],
    ids=str,
)
def test_timestamp(moment: datetime, timestamp: str) -> None:
    assert parse_status(answer(LastCubeProcessingStart=timestamp)).cube.started == moment


@pytest.mark.parametrize(
    "timestamp",
    [
        "",
        "never",
        "01/18/2015",
        "01/18/2015 10:30",
        "01/18/2015  10:30:13",
        " 01/18/2015 10:30:13",
        "01/18/2015 10:30:13\n",
        "02/29/2015 10:30:13",
        "01/18/0000 10:30:13",
        "01/18/2015 24:00:00",
        "01/18/2015 10:30:60",
        "01/18/2015 10:30:13.5",
        "2015-01-18 10:30:13",
        "2015-01-18T10:30:13.",
        "2015-01-18T10:30:13z",
        "2015-01-18T10:30:13+0100",
        "2015-13-18T10:30:13",
        "01/18/201\N{ARABIC-INDIC DIGIT FIVE} 10:30:13",
        "201\N{ARABIC-INDIC DIGIT FIVE}-01-18T10:30:13",
    ],
    ids=ascii,
)
def test_no_timestamp(timestamp: str) -> None:
    reason = f"is not a timestamp like 01/18/2015 10:30:13: '{timestamp}'"
    assert (
        complaint(answer(LastCubeProcessingStart=timestamp)) == f"LastCubeProcessingStart {reason}"
    )
    body = answer(LastFailedIntegrations=[TIMESTAMP, timestamp])
    assert complaint(body) == f"LastFailedIntegrations[1] {reason}"


@pytest.mark.parametrize(("dots", "length"), [("", 40), ("...", 41), ("...", 100_000)])
def test_what_is_no_timestamp_is_cut(dots: str, length: int) -> None:
    assert complaint(answer(LastCubeProcessingStart="x" * length)) == (
        "LastCubeProcessingStart is not a timestamp like 01/18/2015 10:30:13: "
        f"'{'x' * min(length, 40)}{dots}'"
    )


NUMBERS = [
    ("a number", "0"),
    ("a number", "-1.5"),
    ("a number", "1e999"),
    ("a boolean", "true"),
    ("a boolean", "false"),
]
NO_LISTS = [*NUMBERS, ("an object", "{}"), ("a text", f'"{TIMESTAMP}"')]
NO_TEXTS = [*NUMBERS, ("an object", "{}"), ("a list", f'["{TIMESTAMP}"]')]


@pytest.mark.parametrize(("kind", "value"), NO_LISTS)
@pytest.mark.parametrize("key", LISTS)
def test_no_list(kind: str, value: str, key: str) -> None:
    assert complaint(raw(key, value)) == f"{key} is {kind}, not a list of timestamps"


@pytest.mark.parametrize(("kind", "value"), [*NO_TEXTS, ("null", "null")])
def test_no_text_in_a_list(kind: str, value: str) -> None:
    body = raw("LastFailedCubeProcessings", f'["{TIMESTAMP}", {value}]')
    assert complaint(body) == f"LastFailedCubeProcessings[1] is {kind}, not a timestamp"


@pytest.mark.parametrize(("kind", "value"), NO_TEXTS)
@pytest.mark.parametrize("key", STARTS)
def test_no_text_for_a_start(kind: str, value: str, key: str) -> None:
    assert complaint(raw(key, value)) == f"{key} is {kind}, not a timestamp"


@pytest.mark.parametrize(("kind", "value"), [*NUMBERS, ("a list", "[]"), ("a text", '"x"')])
def test_no_object(kind: str, value: str) -> None:
    assert complaint(value.encode()) == f"the answer is {kind}, not the status object"


@pytest.mark.parametrize("key", KEYS)
def test_missing_key(key: str) -> None:
    fields = json.loads(answer())
    del fields[key]
    assert complaint(json.dumps(fields).encode()) == f"{key} is missing in the answer"


@pytest.mark.parametrize("value", ["1", "{}", '{"deep": [null, {"x": 1}]}', "1e400", '"\\ud800"'])
def test_unknown_key_is_ignored(value: str) -> None:
    body = answer(LastCubeProcessingStart=TIMESTAMP)
    more = body.replace(b"{", f'{{"lastcubeprocessingstart": {value}, "": {value}, '.encode())
    assert parse_status(more) == parse_status(body)


# --- the lost value -------------------------------------------------------------------------------


@pytest.mark.parametrize("gap", ["", " ", "\r\n\t "], ids=ascii)
@pytest.mark.parametrize("key", KEYS)
def test_lost_value_is_none(key: str, gap: str) -> None:
    assert parse_status(raw(key, gap)) == IntegrationStatus(NOTHING, NOTHING)
    last = answer().replace(b"{", b'{"more": 1, ').replace(f', "{key}": null'.encode(), b"")
    assert parse_status(last[:-1] + f', "{key}"{gap}:{gap}}}'.encode()) == parse_status(answer())


def test_all_values_lost() -> None:
    body = "{" + ",".join(f'"{key}":' for key in KEYS) + "}"
    assert parse_status(body.encode()) == IntegrationStatus(NOTHING, NOTHING)


@pytest.mark.parametrize(
    ("column", "body"),
    [
        (11, '{"more":  , "x": 1}'),
        (31, '{"XLastFailedIntegrations":   , "x": 1}'),
        (31, '{"lastfailedintegrations":    , "x": 1}'),
        (29, '{"LastFailedIntegrations":  ; "x": 1}'),
        (29, '{"LastFailedIntegrations":  ]'),
        (27, '{"LastFailedIntegrations":'),
        (27, '{"LastFailedIntegrations":X, "x": 1}'),
        (37, '{"more": {"LastFailedIntegrations": }}'),
    ],
)
def test_no_other_value_may_be_lost(column: int, body: str) -> None:
    assert complaint(body.encode()) == (
        f"the answer is broken JSON at line 1 column {column}: Expecting value"
    )


@pytest.mark.parametrize("text", ["{", "}", "[", "]", '"{', "\\}", '\\"]'])
def test_bracket_within_a_text_encloses_nothing(text: str) -> None:
    fields = {"more": text, **json.loads(answer())}
    body = json.dumps(fields).replace('"LastFailedIntegrations": null', '"LastFailedIntegrations":')
    assert parse_status(body.encode()) == parse_status(answer())


def test_no_item_of_a_list_may_be_lost() -> None:
    body = raw("LastFailedIntegrations", f'["{TIMESTAMP}", , "{TIMESTAMP}"]')
    assert complaint(body) == "the answer is broken JSON at line 1 column 52: Expecting value"


def test_no_comma_may_be_lost() -> None:
    assert complaint(answer().replace(b", ", b" ", 1)) == (
        "the answer is broken JSON at line 1 column 34: Expecting ',' delimiter"
    )


def test_gap_within_a_text_is_no_lost_value() -> None:
    text = '"LastFailedIntegrations": ,'
    assert complaint(answer(LastCubeProcessingStart=text)) == (
        f"LastCubeProcessingStart is not a timestamp like 01/18/2015 10:30:13: '{text}'"
    )


# --- what is not the answer -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "body", [b"", b" \r\n", b'""', b"null", b"\xef\xbb\xbf", b"\xef\xbb\xbfnull\n"], ids=ascii
)
def test_disabled(body: bytes) -> None:
    assert complaint(body) == DISABLED


@pytest.mark.parametrize("body", [b"<html></html>", b"\n<?xml?>", b"\xef\xbb\xbf<!DOCTYPE html>"])
def test_web_page(body: bytes) -> None:
    assert complaint(body) == (
        "the answer is a web page, not JSON; is this the CQD portal, and its address right?"
    )


@pytest.mark.parametrize(
    "body", [b"\xff\xfe{\x00}\x00", b'{"caf\xe9": 1}', b"\xed\xa0\x80", b"\x80"], ids=ascii
)
def test_no_utf_8(body: bytes) -> None:
    assert complaint(body) == "the answer is not UTF-8 text"


@pytest.mark.parametrize(
    ("reason", "body"),
    [
        ("at line 1 column 1: Expecting value", b"nil"),
        ("at line 1 column 1: Expecting value", b"X"),
        ("at line 1 column 1: Expecting value", b"\x0bnull"),
        ("at line 2 column 2: Expecting value", b"[\n nil]"),
        ("at line 1 column 4: Extra data", b"{} {}"),
        ("at line 1 column 6: Extra data", b"null null"),
        ("at line 1 column 6: Expecting ':' delimiter", b'{"x" 1}'),
        ("at line 1 column 2: Invalid \\escape", b'"\\x"'),
    ],
)
def test_broken_json(reason: str, body: bytes) -> None:
    assert complaint(body) == f"the answer is broken JSON {reason}"


@pytest.mark.parametrize("name", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("key", ["more", *KEYS])
def test_no_value(name: str, key: str) -> None:
    assert complaint(raw(key, name)) == f"the answer is broken JSON: {name} is not a value"
    assert complaint(raw(key, f"[{name}]")) == f"the answer is broken JSON: {name} is not a value"


@pytest.mark.parametrize(
    ("twice", "body"),
    [
        ("LastDataIntegrationStart", answer()[:-1] + b', "LastDataIntegrationStart": null}'),
        ("LastFailedIntegrations", answer()[:-1] + b', "LastFailedIntegrations": }'),
        ("LastDataIntegrationStart", answer()[:-1] + b', "LastDataIntegrationSt\\u0061rt": null}'),
        ("x", answer()[:-1] + b', "x": 1, "x": 1}'),
        ("x", answer()[:-1] + b', "more": [{"deep": {"x": 1, "y": 2, "x": 3}}]}'),
        ("", b'{"": 1, "": 1}'),
        ("x" * 40 + "...", b'{"%b": 1, "%b": 1}' % (b"x" * 41, b"x" * 41)),
    ],
    ids=["key", "lost-value", "escaped", "unknown", "nested", "empty", "long"],
)
def test_doubled_key(twice: str, body: bytes) -> None:
    assert complaint(body) == f"'{twice}' is given twice"


def test_same_key_in_two_objects_is_not_doubled() -> None:
    more = b', "more": [{"x": 1}, {"x": {"x": 1}}, {"LastFailedIntegrations": 1}]}'
    assert parse_status(answer()[:-1] + more) == parse_status(answer())


@pytest.mark.parametrize("bracket", ["[", '{"x":'])
@pytest.mark.parametrize("start", ["", '{"more": '])
def test_nested_too_deep(bracket: str, start: str) -> None:
    body = (start + 100_000 * bracket).encode()
    assert complaint(body) == "the answer is broken JSON: nested too deep"


@pytest.fixture
def _integers_of_any_length() -> Iterator[None]:
    """Python refuses to read a long integer slowly; let it, where it can be told so."""
    limit = getattr(sys, "get_int_max_str_digits", int)()
    allow = getattr(sys, "set_int_max_str_digits", abs)
    allow(0)
    yield
    allow(limit)


@pytest.mark.usefixtures("_integers_of_any_length")
@pytest.mark.parametrize("digits", [1_000_000, 1024 * 1024])
def test_long_number_takes_no_time(digits: int) -> None:
    number = "9" * digits
    start = time.process_time()
    assert complaint(number.encode()) == "the answer is a number, not the status object"
    assert complaint(raw("LastFailedIntegrations", number)) == (
        "LastFailedIntegrations is a number, not a list of timestamps"
    )
    body = answer()[:-1] + f', "more": [{number}, 0.{number}, 1e{number}]}}'.encode()
    assert parse_status(body) == parse_status(answer())
    assert time.process_time() - start < 1


def test_quotes_without_end_take_no_time() -> None:
    body = b'{"x": "' + b'\\"' * 500_000 + b' "LastFailedIntegrations": ,}'
    began = time.monotonic()
    complaint(body)
    assert time.monotonic() - began < 5  # in fact a tenth of a second; quadratic, it took minutes
