"""What `make fuzz` calls: with its seeds, with the cases that it found, and with some damage."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzz_targets import HEALTHY, TARGETS, http, http_seeds, options_seeds
from hypothesis import given, settings
from hypothesis import strategies as st
from invariants import check, rule

from check_cqd_integration.options import build_parser

CASES = Path(__file__).parent / "data" / "fuzz"
SEEDS = [
    pytest.param(name, seed, id=f"{name}-{number}")
    for name, (_, seeds) in TARGETS.items()
    for number, seed in enumerate(seeds())
]
FOUND = [
    pytest.param(path.name.partition("-")[0], path.read_bytes(), id=path.name)
    for path in sorted(CASES.glob("*"))
]


def test_healthy_answer_is_one() -> None:
    assert rule(HEALTHY) == check(HEALTHY).state == "OK"


def test_command_lines_have_every_option() -> None:
    words = {
        word.partition("=")[0] for seed in options_seeds() for word in seed.decode().split("\0")
    }
    for action in build_parser()._actions:
        assert words & set(action.option_strings), f"in no seed: {action.option_strings}"


@pytest.mark.parametrize(("target", "data"), SEEDS + FOUND)
def test_case(target: str, data: bytes) -> None:
    TARGETS[target][0](data)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_answer_over_the_network(data: st.DataObject) -> None:
    seed = data.draw(st.sampled_from(list(http_seeds())))
    start = data.draw(st.integers(0, len(seed)))
    end = data.draw(st.integers(start, start + 30))
    http(seed[:start] + data.draw(st.binary(max_size=5)) + seed[end:])
