"""The page as a file: complete, its own, and recognised."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from mtctl.report import page
from mtctl.report.page import is_report


def test_every_asset_is_used_and_there() -> None:
    folder = resources.files("mtctl.report") / "assets"
    assert {entry.name for entry in folder.iterdir()} == {*page._STYLES, *page._SCRIPTS}


def test_assets_cannot_end_their_element() -> None:
    for name in (*page._STYLES, *page._SCRIPTS):
        text = (resources.files("mtctl.report") / "assets" / name).read_text(encoding="utf-8").lower()
        assert "</s" not in text, name
        assert "<!--" not in text, name
        assert "innerhtml" not in text, name


def test_files_of_others_are_no_reports(tmp_path: Path) -> None:
    for content in (
        b"",
        b"<!doctype html><title>mtctl report</title>",
        b"\xff" * 5000,
        b" " * 5000 + b"mtctl report",
    ):
        file = tmp_path / "page.html"
        file.write_bytes(content)
        assert not is_report(file)
