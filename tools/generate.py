"""`make generate`: write the committed files that are made of others, or hold parts that are.

    python tools/generate.py

names what it has changed. test_generated.py fails as long as that would be anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import check_command
import dashboard
import director_basket
import graphite
import readme

ROOT = Path(__file__).parents[1]
GENERATED: dict[Path, Callable[[str], str]] = {
    **dict.fromkeys(readme.PAGES, readme.rendered),
    readme.PYPI: lambda _: readme.for_pypi(readme.rendered(readme.README.read_text("utf-8"))),
    check_command.COMMAND_FILE: check_command.rendered,
    director_basket.BASKET: lambda _: director_basket.rendered(),
    dashboard.DASHBOARD: lambda _: dashboard.rendered(),
    graphite.TEMPLATES: lambda _: graphite.rendered(),
}
"""What makes of the text of each file what it should be."""


def old_files() -> Iterator[tuple[Path, str]]:
    """Yield each file that is not as it should be, and its text as it should be."""
    for path, render in GENERATED.items():
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        if (new := render(text)) != text:
            yield path, new


def main() -> None:
    for path, text in old_files():
        path.write_text(text, encoding="utf-8")
        print(f"written: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
