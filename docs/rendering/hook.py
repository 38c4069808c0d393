"""What MkDocs calls while it builds the site: adds the pages and the picture that are made from the code."""

from __future__ import annotations

import re

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from docs.rendering import decisions, methods, pages

_CODE = re.compile(r"`[^`\n]+`")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill in the methods' entries of the navigation."""
    for entry in config.nav or ():
        if isinstance(entry, dict) and "Methods" in entry:
            entry["Methods"] = [*entry["Methods"][:1], *methods.method_nav()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    for path, text in pages.generated().items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the picture in the place that a page has for it, and take back what only GitHub's tables need."""
    return _CODE.sub(lambda code: code[0].replace(r"\|", "|"), markdown).replace(
        decisions.PLACE, decisions.picture()
    )
