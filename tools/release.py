"""`make release`: see whether all that tells a version agrees, and say what to do next.

    python tools/release.py MANUAL_PAGE

The version is written in one place, `__version__`. What tells it besides: the newest release in
CHANGELOG.md, an example in docs/install.md, the manual page, and the tag.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Collection, Iterator
from datetime import date, datetime, timezone
from pathlib import Path
from typing import NamedTuple

from readme import PAGES, rendered

from check_cqd_integration import __version__

ROOT = Path(__file__).parent.parent
_HEADING = re.compile(r"^## \[(.*?)\](?: - (.*))?\n", re.MULTILINE)


class Checkout(NamedTuple):
    """What is compared."""

    version: str
    today: date
    changelog: str
    manual: str
    """README.md and docs/, one after the other."""
    page: str
    tags: Collection[str]
    tags_here: Collection[str]
    """Those of the commit that is checked out."""
    changes: str
    """What is not committed, as `git status --short` tells it."""


def tag_of(version: str) -> str:
    return f"v{version}"


def disagreements(checkout: Checkout) -> Iterator[str]:
    """Yield what must be fixed before this is a release, each with what to do."""
    version, tag = checkout.version, tag_of(checkout.version)
    if not _numbers(tag):
        yield f"__version__ is {version}, not of the form 1.2.3"
    yield from _of_changelog(checkout)
    if f"check_cqd_integration {version}\n" not in checkout.manual:
        yield f"docs/install.md: the output of --version is not that of {version}"
    if checkout.manual != rendered(checkout.manual):
        yield "README.md or docs/: the options or examples are old; run make generate"
    if f'"check_cqd_integration {version}"' not in checkout.page:
        yield f"the manual page is not that of {version}; run make man"
    if tag in checkout.tags and tag not in checkout.tags_here:
        yield f"the tag {tag} is another commit; raise __version__"
    newer = [other for other in checkout.tags if _numbers(other) > _numbers(tag)]
    if newer:
        yield f"there is {max(newer, key=_numbers)} already; raise __version__"
    if checkout.changes:
        yield f"not committed:\n{checkout.changes}"


def _of_changelog(checkout: Checkout) -> Iterator[str]:
    sections = _HEADING.split(checkout.changelog)[1:]
    releases = list(zip(sections[::3], sections[1::3], sections[2::3]))
    if releases and releases[0][0] == "Unreleased":
        if releases[0][2].strip():
            heading = f"## [{checkout.version}] - {checkout.today}"
            yield f"CHANGELOG.md: put {heading} below ## [Unreleased], above what is new"
            return
        del releases[0]
    newest, day, _ = releases[0] if releases else ("nothing", None, "")
    if newest != checkout.version:
        yield f"CHANGELOG.md: the newest release is {newest}, __version__ is {checkout.version}"
        return
    try:
        is_future = date.fromisoformat(day or "") > checkout.today
    except ValueError:
        yield f"CHANGELOG.md: the date of {newest} is not of the form 2026-12-31"
    else:
        if is_future:
            yield f"CHANGELOG.md: the date of {newest} is in the future"


def _numbers(tag: str) -> tuple[int, ...]:
    """Return what tags are ordered by; nothing for one that is not of a release."""
    match = re.fullmatch(r"v(\d+)\.(\d+)\.(\d+)", tag)
    return tuple(map(int, match.groups())) if match else ()


def next_step(checkout: Checkout) -> str:
    """Return what to do once all agrees."""
    tag = tag_of(checkout.version)
    if tag not in checkout.tags:
        return (
            f"All agrees on {checkout.version}. Next:\n"
            f"  git tag --annotate {tag} --message 'check_cqd_integration {checkout.version}'\n"
            f"  make release"
        )
    return (
        f"All agrees on {checkout.version}, tag included. Next:\n"
        f"  make clean dist man completion\n"
        f"  git push origin HEAD {tag}\n"
        f"and give dist/ and build/ to those who install it."
    )


def main(page: str) -> int:
    os.chdir(ROOT)
    checkout = Checkout(
        version=__version__,
        today=datetime.now(timezone.utc).date(),
        changelog=Path("CHANGELOG.md").read_text(encoding="utf-8"),
        manual="".join(path.read_text(encoding="utf-8") for path in PAGES),
        page=Path(page).read_text(encoding="utf-8"),
        tags=_git("tag").split(),
        tags_here=_git("tag", "--points-at", "HEAD").split(),
        changes=_git("status", "--short"),
    )
    found = list(disagreements(checkout))
    print("\n".join(found) if found else next_step(checkout))
    return 1 if found else 0


def _git(*arguments: str) -> str:
    command = ("git", *arguments)
    return subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
