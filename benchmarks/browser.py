"""The Chromium that is on PATH, for pages of `mtctl report`: none is ever downloaded."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PATIENCE_MS: Final = 1_800_000  # after which a browser is taken to hang: a busy machine is no fault
MISSING: Final = (
    "no Chromium on PATH (chromium or google-chrome); on Debian and Ubuntu: `apt-get install chromium`"
)


def find_browser() -> str | None:
    """Return the path of a Chromium; None if there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def opened(path: str) -> Iterator[Browser]:
    """Run a browser without a window; it is closed at the end, whatever happens.

    Args:
        path: of the browser.
    """
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 an extra

    with sync_playwright() as playwright:
        # Without --no-sandbox Chromium refuses to run as root, as in a container; pages here are our own.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"], timeout=PATIENCE_MS)
        try:
            yield browser
        finally:
            browser.close()
