"""`make release` names whatever does not agree with the version."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import release
from man import page
from readme import PAGES, README, rendered
from release import Checkout, disagreements, main, next_step

from check_cqd_integration import __version__

TEXT = rendered("".join(path.read_text(encoding="utf-8") for path in PAGES))
TODAY = date(2026, 11, 25)
RELEASED = """# Changelog

## [Unreleased]

## [0.3.0] - 2026-11-25

### Added

- A thing.

## [0.2.0] - 2026-10-01
"""


@pytest.fixture(autouse=True)
def _in_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(README.parent)


def of_version(text: str, version: str = "0.3.0") -> str:
    return re.sub(rf"(check_cqd_integration) {re.escape(__version__)}\b", rf"\1 {version}", text)


@pytest.fixture(scope="module")
def agreeing() -> Checkout:
    return Checkout(
        version="0.3.0",
        today=TODAY,
        changelog=RELEASED,
        manual=of_version(TEXT),
        page=of_version(page()),
        tags=("v0.2.0", "v0.1.0", "unrelated"),
        tags_here=(),
        changes="",
    )


def test_all_agrees(agreeing: Checkout) -> None:
    assert list(disagreements(agreeing)) == []
    assert "git tag --annotate v0.3.0 " in next_step(agreeing)


def test_all_agrees_and_is_tagged(agreeing: Checkout) -> None:
    tagged = agreeing._replace(tags=("v0.2.0", "v0.3.0"), tags_here=("v0.3.0",))
    assert list(disagreements(tagged)) == []
    assert "git push origin HEAD v0.3.0" in next_step(tagged)


def test_changelog_without_unreleased(agreeing: Checkout) -> None:
    text = RELEASED.replace("## [Unreleased]\n\n", "")
    assert list(disagreements(agreeing._replace(changelog=text))) == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"changelog": RELEASED.replace("[0.3.0]", "[0.4.0]")},
            "CHANGELOG.md: the newest release is 0.4.0, __version__ is 0.3.0",
        ),
        (
            {"changelog": "# Changelog\n"},
            "CHANGELOG.md: the newest release is nothing, __version__ is 0.3.0",
        ),
        (
            {"changelog": RELEASED.replace("d]\n", "d]\n\n- Another thing.\n")},
            "CHANGELOG.md: put ## [0.3.0] - 2026-11-25 below ## [Unreleased], above what is new",
        ),
        (
            {"changelog": RELEASED.replace(" - 2026-11-25", "")},
            "CHANGELOG.md: the date of 0.3.0 is not of the form 2026-12-31",
        ),
        (
            {"changelog": RELEASED.replace("2026-11-25", "25 November")},
            "CHANGELOG.md: the date of 0.3.0 is not of the form 2026-12-31",
        ),
        (
            {"changelog": RELEASED.replace("2026-11-25", "2026-11-26")},
            "CHANGELOG.md: the date of 0.3.0 is in the future",
        ),
        (
            {"manual": of_version(TEXT, "0.2.0")},
            "docs/install.md: the output of --version is not that of 0.3.0",
        ),
        (
            {"manual": of_version(TEXT).replace("| plain HTTP |", "| no TLS |")},
            "README.md or docs/: the options or examples are old; run make generate",
        ),
        (
            {"page": of_version(page(), "0.2.0")},
            "the manual page is not that of 0.3.0; run make man",
        ),
        (
            {"tags": ("v0.3.0",), "tags_here": ("v0.2.0",)},
            "the tag v0.3.0 is another commit; raise __version__",
        ),
        (
            {"tags": ("v0.9.0", "v0.10.0", "w1.0.0")},
            "there is v0.10.0 already; raise __version__",
        ),
        ({"changes": " M README.md\n"}, "not committed:\n M README.md\n"),
    ],
)
def test_disagreement(agreeing: Checkout, changed: dict[str, Any], message: str) -> None:
    assert list(disagreements(agreeing._replace(**changed))) == [message]


def test_version_that_is_none(agreeing: Checkout) -> None:
    found = list(disagreements(agreeing._replace(version="0.3", tags=())))
    assert found[0] == "__version__ is 0.3, not of the form 1.2.3"


def git_with(**answers: str) -> Callable[..., str]:
    return lambda command, *options: answers["here" if options and command == "tag" else command]


def test_this_checkout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between releases something is left to do, and there is nothing else that disagrees."""
    (tmp_path / "page.1").write_text(page(), encoding="utf-8")
    monkeypatch.setattr(release, "_git", git_with(tag="", here="", status=""))
    code = main(str(tmp_path / "page.1"))
    lines = capsys.readouterr().out.splitlines()
    lines = [line for line in lines if "make generate" not in line]  # test_generated.py tells that
    assert (code, len(lines)) in ((0, 3), (1, 1))
    assert lines[0].startswith(("All agrees on ", "CHANGELOG.md: put "))


def test_version_is_written_in_one_place() -> None:
    assert "version = attr: check_cqd_integration.__version__\n" in Path("setup.cfg").read_text()
