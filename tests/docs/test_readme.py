"""README.md has every limit and label; what it shows of them is made by the plugin."""

from __future__ import annotations

import re

import pytest
from expected import LABELS, Label
from readme import EXAMPLE, README, rendered

from check_cqd_integration.options import build_parser

TEXT = README.read_text(encoding="utf-8")


def rows_of(section: str) -> list[list[str]]:
    """Return the cells of the first table of a section, without its head."""
    [body] = re.findall(rf"^## {section}\n(.*?)^## ", TEXT, re.MULTILINE | re.DOTALL)
    table = body.partition("|---")[2].partition("\n\n")[0].splitlines()[1:]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table]


def test_bug_is_no_example(monkeypatch: pytest.MonkeyPatch) -> None:
    def main(options: object) -> int:
        print("CQD UNKNOWN - this is a bug: NameError")
        return 3

    monkeypatch.setattr("readme.main", main)
    with pytest.raises(RuntimeError, match="NameError"):
        rendered(TEXT)


def test_no_output_with_perfdata_is_written_by_hand() -> None:
    made = "".join(example["output"] for example in EXAMPLE.finditer(TEXT))
    assert re.findall(r"^CQD .* \| \w+=.*", TEXT, re.M) == re.findall("^CQD .*=.*", made, re.M)


@pytest.mark.parametrize("state", ["WARNING", "CRITICAL"])
def test_states_name_every_limit(state: str) -> None:
    """With its default, if that is a duration."""
    texts, current = [], ""
    for name, text in rows_of("States"):
        current = name or current
        texts += [text] if current == state else []
    limits = [
        (name, re.findall(r"\(default: (.*?):?\)", action.help or ""))
        for action in build_parser()._actions
        for name in action.option_strings
        if re.fullmatch(rf"--.+-{state.lower()}", name)
    ]
    for option, [default] in limits:
        [text] = [text for text in texts if f"`{option}`" in text]
        if re.search("[a-z]", default):
            assert ("not set by default" if default == "none" else f" {default}") in text
    assert len(limits) > 5


@pytest.mark.parametrize("label", LABELS)
def test_perfdata_table_has_every_label(label: str) -> None:
    [[unit, meaning, thresholds]] = [
        cells for name, *cells in rows_of("Perfdata") if name == f"`{label}`"
    ]
    assert unit == (LABELS[label].unit or "count")
    assert meaning or label.startswith("cube_")
    assert thresholds.startswith(thresholds_of(LABELS[label]))


def thresholds_of(row: Label) -> str:
    if row.option:
        return f"`--{row.option}-*`"
    return "`--max-skew`" if row.warning else "none"


def test_perfdata_table_has_no_other_label() -> None:
    assert [name.strip("`") for name, *_ in rows_of("Perfdata")] == list(LABELS)
