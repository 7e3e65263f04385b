"""Completion: bash is asked here; in acceptance/test_shells.py each shell is typed at."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from completion import FILES, script

from check_cqd_integration.options import WORDS, build_parser

TOOL = Path(__file__).parents[2] / "tools" / "completion.py"
ASK = """
source "$1"; shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
[[ $(complete -p check_cqd_integration) =~ -F\\ ([^ ]+) ]]
"${BASH_REMATCH[1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""
"""As bash does at a tabulator."""
OPTIONS = [name for action in build_parser()._actions for name in action.option_strings]
WITH_WORDS = [action for action in build_parser()._actions if action.metavar in WORDS]
WITH_FILE = {
    *("--input", "--password-file", "--keytab"),
    *("--ca-file", "--client-cert", "--client-key"),
}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make completion` makes."""
    directory = tmp_path_factory.mktemp("completion")
    subprocess.run([sys.executable, TOOL, directory], check=True)
    return directory


def completed(directory: Path, *words: str) -> list[str]:
    command = ["bash", "--norc", "-c", ASK, "bash", str(directory / "bash" / FILES["bash"])]
    done = subprocess.run(
        [*command, "check_cqd_integration", *words],
        cwd=directory,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_files_lie_where_shells_look_for_them(directory: Path) -> None:
    found = {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}
    assert found == {
        "bash/check_cqd_integration",
        "zsh/_check_cqd_integration",
        "fish/check_cqd_integration.fish",
    }
    for shell, name in FILES.items():
        assert (directory / shell / name).read_text(encoding="utf-8") == script(shell)


def test_options(directory: Path) -> None:
    assert completed(directory, "-") == OPTIONS
    assert completed(directory, "--http", "--st") == [
        *("--stage", "--streak-warning", "--streak-critical", "--state-dir"),
    ]


@pytest.mark.parametrize("option", WITH_WORDS, ids=lambda action: action.option_strings[-1])
def test_words(directory: Path, option: object) -> None:
    name, metavar = option.option_strings[-1], option.metavar  # type: ignore[attr-defined]
    assert completed(directory, "-H", "portal", name, "") == list(WORDS[metavar])


def test_part_of_a_word(directory: Path) -> None:
    assert completed(directory, "--auth", "n") == ["none", "ntlm"]


def test_files(directory: Path) -> None:
    assert {
        a.option_strings[-1] for a in build_parser()._actions if a.metavar == "FILE"
    } == WITH_FILE
    for option in WITH_FILE:
        assert completed(directory, option, "fis") == ["fish"]


def test_zones_are_those_of_the_host(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (directory / "zone.tab").write_text(
        "# a comment\nDE\t+5230+01322\tEurope/Berlin\tmost of it\nAT\t+4813+01620\tEurope/Vienna\n"
    )
    monkeypatch.setenv("TZDIR", str(directory))
    assert completed(directory, "--timezone", "") == [
        *("local", "UTC", "Europe/Berlin", "Europe/Vienna"),
    ]
    assert completed(directory, "--timezone", "Europe/B") == ["Europe/Berlin"]
    monkeypatch.setenv("TZDIR", str(directory / "nowhere"))
    assert completed(directory, "--timezone", "") == ["local", "UTC"]


def test_nothing_is_offered_where_nothing_is_known(directory: Path) -> None:
    for before in (["--hostname"], ["-w"], ["--http"]):
        assert completed(directory, *before, "") == []


def test_every_option_is_known_to_every_shell() -> None:
    for name in OPTIONS:
        assert name in script("zsh")
        assert f" -{'l' if name.startswith('--') else 's'} {name.lstrip('-')} " in script("fish")


def test_check_does_not_load_what_makes_it() -> None:
    code = "import sys, check_cqd_integration.options; sys.exit('shtab' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
