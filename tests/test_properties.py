"""What holds for every answer, from options and a file to exit code and text.

The grading is compared with the schedule's rules, told a second time in ``invariants``.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from expected import DOCUMENTED_LINE
from hypothesis import example, given, settings
from hypothesis import strategies as st
from invariants import KEYS, SEVERITY, STAGES, Stage, Status, check, rule, worst
from nagiosplugin import Range
from portal_simulator import DOCUMENTED

moderate = settings(max_examples=150, deadline=None)


# --- answers that can be read ---------------------------------------------------------------------


LIMITS = (0, 1800, 3600, 7200)
seconds = st.one_of(
    st.integers(-300, 3600),
    st.integers(-300, 300_000),
    st.sampled_from([limit + step for limit in LIMITS for step in (-1, 0, 1)]),
)
lists = st.lists(seconds, max_size=6).map(tuple)
fresh = st.lists(st.integers(-300, 1800), min_size=1, max_size=5).map(tuple)
stages = st.builds(Stage, st.one_of(fresh, lists), lists, st.one_of(st.none(), seconds))
statuses = st.builds(Status, stages, stages)
graded_stages = st.sampled_from(["all", *STAGES])


@moderate
@given(statuses, graded_stages)
def test_state_is_the_one_of_the_rules(status: Status, graded: str) -> None:
    states = status.states()
    output = check(status.body(), "--stage", graded)
    assert output.state == worst([states[name] for name in STAGES if graded in ("all", name)])
    assert output.state == rule(status.body(), graded)


@moderate
@given(statuses, graded_stages)
def test_ok_is_never_without_a_fresh_success_of_each_graded_stage(
    status: Status, graded: str
) -> None:
    if check(status.body(), "--stage", graded).state == "OK":
        for name, limit in ("integration", 1800), ("cube", 3600):
            successes: tuple[int, ...] = getattr(status, name).successes
            assert graded not in ("all", name) or min(successes) <= limit


@moderate
@given(statuses, graded_stages)
def test_perfdata_alone_tell_the_same(status: Status, graded: str) -> None:
    output = check(status.body(), "--stage", graded)
    names = [name for name in STAGES if graded in ("all", name)]
    listed = all(getattr(status, name).successes for name in names)
    states = ["OK" if listed else "CRITICAL"]
    for value, warning, critical, _ in output.perfdata.values():
        number = int(value.rstrip("s"))
        for state, limit in ("WARNING", warning), ("CRITICAL", critical):
            states += [] if Range(limit).match(number) else [state]
    assert output.state == worst(states)


@moderate
@given(statuses)
def test_every_stage_with_a_problem_is_named_worst_first(status: Status) -> None:
    output, states = check(status.body(), "-v"), status.states()
    assert [line.split(": ")[0] for line in output.below if line.startswith("[")] == [
        f"[{states[name]}] {name}" for name in STAGES
    ]
    told = [name for name in STAGES if states[name] != "OK" or output.state == "OK"]
    told.sort(key=lambda name: SEVERITY.index(states[name]), reverse=True)
    assert re.findall("(integration|cube): ", output.text) == told


@moderate
@given(statuses)
def test_first_line_is_the_same_at_every_verbosity(status: Status) -> None:
    outputs = [check(status.body(), *more) for more in ((), ("-v",), ("-vv",), ("-vvv",))]
    assert len({output.line for output in outputs}) == 1
    assert outputs[0].below == []
    assert outputs[1].below == outputs[2].below[: len(outputs[1].below)]


@moderate
@given(statuses, st.data())
def test_older_success_is_never_better(status: Status, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([n for n in STAGES if getattr(status, n).successes] or [""]))
    if name:
        stage: Stage = getattr(status, name)
        chosen = data.draw(st.integers(0, len(stage.successes) - 1))
        older = list(stage.successes)
        older[chosen] += data.draw(st.one_of(st.integers(1, 7200), st.integers(1, 10**9)))
        worse = replace(status, **{name: replace(stage, successes=tuple(older))})
        states = check(status.body()).state, check(worse.body()).state
        assert worst(states) == states[1]


@moderate
@given(statuses, st.sampled_from(STAGES), seconds)
def test_another_failure_is_never_better(status: Status, name: str, failure: int) -> None:
    stage: Stage = getattr(status, name)
    more = replace(stage, failures=(*stage.failures, failure))
    states = check(status.body()).state, check(replace(status, **{name: more}).body()).state
    assert worst(states) == states[1]


@moderate
@given(statuses, st.sampled_from(STAGES))
def test_stage_without_success_is_never_ok(status: Status, name: str) -> None:
    without = replace(status, **{name: replace(getattr(status, name), successes=())})
    assert check(without.body()).state == "CRITICAL"
    assert check(without.body(), "--no-success-state", "unknown").state in ("UNKNOWN", "CRITICAL")


@moderate
@given(statuses, st.sampled_from(STAGES), st.integers(0, 2))
def test_timestamp_too_far_ahead_is_unknown(status: Status, name: str, place: int) -> None:
    stage: Stage = getattr(status, name)
    ahead = (
        replace(stage, successes=(*stage.successes, -301)),
        replace(stage, failures=(*stage.failures, -301)),
        replace(stage, start=-301),
    )[place]
    assert check(replace(status, **{name: ahead}).body()).line == (
        "CQD UNKNOWN - the timestamp 2026-11-24 12:05:01 is 5m 1s ahead of this host's clock; "
        "is --timezone the portal's zone, and are both clocks right?"
    )


@moderate
@given(statuses, st.randoms(use_true_random=False))
def test_order_and_doubles_do_not_matter(status: Status, random: Any) -> None:
    def stirred(stage: Stage) -> Stage:
        successes, failures = list(stage.successes) * 2, list(stage.failures) * 2
        random.shuffle(successes)
        random.shuffle(failures)
        return replace(stage, successes=tuple(successes), failures=tuple(failures))

    other = Status(stirred(status.integration), stirred(status.cube))
    assert check(other.body(), "-vv").text == check(status.body(), "-vv").text


def test_documented_answer() -> None:
    at_its_time = ("--now", "2015-01-18T10:31:00Z")
    assert check(DOCUMENTED, *at_its_time).line + "\n" == DOCUMENTED_LINE


# --- answers that cannot --------------------------------------------------------------------------

nonsense = st.one_of(
    st.binary(),
    st.text(st.characters(codec="utf-8")).map(str.encode),
    st.binary().map(b'{"LastSuccessIntegrations": "%b"}'.__mod__),
)
json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.floats(),
        st.integers(),
        st.text(),
        st.just("2026-11-24T12:00:00"),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@moderate
@given(nonsense, st.sampled_from([(), ("-vvv",)]))
@example(b"", ())
@example(b"\xef\xbb\xbf", ())
@example(b"[" * 100_000, ())
@example(b"9" * 1024 * 1024, ())
@example(b" " * 1024 * 1024 + b"1", ())
@example(b'{"|": 1, "|": 1}', ("-vvv",))
@example(b'{"LastSuccessIntegrations": ["<b>|\\r\\n\\u0007\\ud800"]}', ())
def test_nonsense_is_unknown_in_one_line(body: bytes, options: tuple[str, ...]) -> None:
    output = check(body, *options)
    not_read = ["[UNKNOWN] integration: not read", "[UNKNOWN] cube: not read"]
    told, begins = output.below[:2], output.below[2:]
    assert (output.state, output.perfdata, told) == ("UNKNOWN", {}, not_read if options else [])
    assert len(begins) <= bool(options)
    assert all(re.fullmatch("answer: .{1,503}", line) for line in begins)


@moderate
@given(st.fixed_dictionaries(dict.fromkeys(KEYS, json_values)))
def test_any_json_is_graded_or_unknown_in_one_line(fields: dict[str, Any]) -> None:
    body = json.dumps(fields).encode()
    output = check(body)
    assert (output.state, output.below) == (rule(body), [])


@moderate
@given(st.data())
def test_damaged_answer_is_graded_or_unknown_in_one_line(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(DOCUMENTED)))
    end = data.draw(st.integers(start, start + 30))
    body = DOCUMENTED[:start] + data.draw(st.binary(max_size=5)) + DOCUMENTED[end:]
    output = check(body, "--now", "2015-01-18T10:31:00Z")
    assert output.below == []
    assert output.state in ("CRITICAL", "UNKNOWN")


@pytest.mark.parametrize("key", KEYS)
def test_missing_key_is_unknown(key: str) -> None:
    fields = json.loads(Status(Stage((0,), (), 0), Stage((0,), (), 0)).body())
    assert check(json.dumps(fields).encode()).state == "OK"
    del fields[key]
    line = check(json.dumps(fields).encode()).line
    assert line == f"CQD UNKNOWN - {key} is missing in the answer"
