"""All pages that are made from the code, by their path in the site."""

from __future__ import annotations

from docs.rendering.findings import findings_page
from docs.rendering.methods import method_pages
from docs.rendering.recipes import built_in_page, keys_page


def generated() -> dict[str, str]:
    """Return the text of each page by its path."""
    return {
        **dict(method_pages()),
        "findings.md": findings_page(),
        "recipes/built_in.md": built_in_page(),
        "recipes/keys.md": keys_page(),
    }
