"""Committed files that are made of others are as `make generate` makes them."""

from __future__ import annotations

from pathlib import Path

import pytest
from generate import GENERATED, ROOT, main, old_files


def test_nothing_is_old() -> None:
    old = ", ".join(str(path.relative_to(ROOT)) for path, _ in old_files())
    assert not old, f"run make generate: {old}"


def test_only_what_is_old_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And a part that is made of others is put where it belongs, whatever it was."""
    copies = {tmp_path / path.name: (path, render) for path, render in GENERATED.items()}
    texts = {
        copy: render(path.read_text(encoding="utf-8")) for copy, (path, render) in copies.items()
    }
    for copy, text in texts.items():
        copy.write_text(text, encoding="utf-8")
    changes = {
        "options.md": ("| `--http` | plain HTTP |\n", ""),
        "cqd_integration.conf": ('"$cqd_integration_url$"', '"$cqd_integration_uri$"'),
    }
    for name, change in changes.items():
        text = (tmp_path / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text.replace(*change), encoding="utf-8")
    (tmp_path / "director-basket.json").unlink()
    monkeypatch.setattr("generate.ROOT", tmp_path)
    monkeypatch.setattr("generate.GENERATED", {copy: made for copy, (_, made) in copies.items()})
    main()
    assert capsys.readouterr().out == (
        "written: options.md\nwritten: cqd_integration.conf\nwritten: director-basket.json\n"
    )
    assert {copy: copy.read_text(encoding="utf-8") for copy in copies} == texts
