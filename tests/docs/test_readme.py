"""README.md and docs/ have every limit and label; what they show of them is made by the plugin."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from expected import LABELS, Label
from readme import DOCS, EXAMPLE, PAGES, README, for_pypi, rendered

from check_cqd_integration.options import build_parser, parse

ROOT = README.parent
TEXTS = {path: path.read_text(encoding="utf-8") for path in PAGES}
OUTPUT = TEXTS[DOCS / "output.md"]
WITH_LINKS = [*PAGES, *ROOT.glob("[CS]*.md"), *ROOT.glob("contrib/**/README.md")]
LINK = re.compile(r"\[[^]]*\]\(([^)]+)\)")


def rows_of(section: str) -> list[list[str]]:
    """Return the cells of the first table of a section on output, without its head."""
    [body] = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", OUTPUT, re.MULTILINE | re.DOTALL)
    table = body.partition("|---")[2].partition("\n\n")[0].splitlines()[1:]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table]


def anchors(path: Path) -> set[str]:
    """Return what GitHub makes of the headings of a page."""
    text = re.sub(r"^ *```.*?^ *```$", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall("^#+ (.*)", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", WITH_LINKS, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """To a file of this repository and, if they name a heading, to one that is there."""
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        name, _, anchor = link.partition("#")
        if not link.startswith("https://"):
            target = (page.parent / name).resolve() if name else page
            assert target.is_file(), link
            assert target.is_relative_to(ROOT), link
            assert not anchor or anchor in anchors(target), link


def test_front_page_is_short() -> None:
    """What an administrator reads in three minutes."""
    assert len(TEXTS[README].splitlines()) <= 240
    assert len(TEXTS[README].encode()) <= 13_000


def test_front_page_names_every_page() -> None:
    index = TEXTS[README].partition("\n## Manual\n")[2]
    linked = {(ROOT / link).resolve() for link in LINK.findall(index)}
    assert set(PAGES) - {README} <= linked


def test_front_page_compares_as_the_manual_does() -> None:
    """With rows of the table that `make peers` writes."""
    shown = re.findall(r"^\|(?: [^|]+ \|){5}$", TEXTS[README], re.MULTILINE)
    assert len(shown) > 5
    assert set(shown) <= set(TEXTS[DOCS / "performance.md"].splitlines())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_says_first_what_it_is_for(page: Path) -> None:
    heading, empty, purpose, *_ = TEXTS[page].splitlines()
    assert re.match("# [A-Z]|# check_cqd_integration", heading)
    assert empty == ""
    assert re.match("[A-Z].{25,}", purpose)


@pytest.mark.parametrize(
    ("what", "page"),
    [
        ("ln -s", "install"),
        ("service_check_timeout", "thresholds"),
        ("dnf install ./", "install"),
        ("failed logins an hour", "login"),
        ("_kerberos-master", "login"),
    ],
)
def test_nothing_is_explained_twice(what: str, page: str) -> None:
    """But for the front page, which repeats how to install."""
    assert [path.stem for path, text in TEXTS.items() if what in text and path != README] == [page]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_command_lines_and_options_are_real(page: Path) -> None:
    command = (
        r"^ *(?:\$ |<!-- )?(?:runuser -u nagios -- )?\S*check_cqd_integration (-.*?)(?: -->)?$"
    )
    for words in re.findall(command, TEXTS[page], re.MULTILINE):
        assert words == "--version" or parse(shlex.split(words))
    known = {name for action in build_parser()._actions for name in action.option_strings}
    pairs = {f"{name.removesuffix('warning')}*" for name in known if name.endswith("-warning")}
    others = {"--some-option", "--no-install-recommends", "--list"}
    told = set(re.findall(r"(?<=`)--[a-z][a-z*-]*", TEXTS[page]))
    assert told <= known | pairs | others


def test_pypi_is_shown_neither_pictures_nor_links_that_lead_nowhere() -> None:
    text = "One [a](x.md#y), [b](#c).\n\n![picture](z.png)\n\n[x.md](x.md) ends.\n"
    assert for_pypi(text) == "One a (x.md), b.\n\nx.md ends.\n"
    assert re.findall(r"\]\((?!https://)|!\[", for_pypi(TEXTS[README])) == []


def test_bug_is_no_example(monkeypatch: pytest.MonkeyPatch) -> None:
    def main(options: object) -> int:
        print("CQD UNKNOWN - this is a bug: NameError")
        return 3

    monkeypatch.setattr("readme.main", main)
    with pytest.raises(RuntimeError, match="NameError"):
        rendered(TEXTS[README])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_output_with_perfdata_is_written_by_hand(page: Path) -> None:
    made = "".join(example["output"] for example in EXAMPLE.finditer(TEXTS[page]))
    by_all = re.findall(r"^CQD .* \| \w+=.*", TEXTS[page], re.M)
    assert by_all == re.findall(r"^CQD .* \| \w+=.*", made, re.M)


def test_manual_has_the_saved_answer_that_it_shows() -> None:
    shown = re.findall(r"^\$ cat (\S+)\n(.*?)^\$", TEXTS[DOCS / "thresholds.md"], re.M | re.S)
    assert [(path, (ROOT / path).read_text("utf-8")) for path, _ in shown] == shown
    assert len(shown) == 1


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


def test_table_of_defaults_is_that_of_the_options() -> None:
    table = TEXTS[DOCS / "thresholds.md"].partition("\n## Defaults\n")[2].partition("\n\nOne")[0]
    rows = re.findall(r"^\| [^|]+ \| `--(\w+)-\*`.*? \| (\S+) \| (\S+) \|$", table, re.M)
    told = {
        f"--{name}-{state}": value.strip("`")
        for name, *values in rows
        for state, value in zip(("warning", "critical"), values)
    }
    defaults = {
        name: default
        for action in build_parser()._actions
        for name in action.option_strings
        if re.fullmatch("--.+-(warning|critical)", name)
        for default in re.findall(r"\(default: (.*?)\)", action.help or "")
    }
    assert told == defaults


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
