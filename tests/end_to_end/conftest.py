"""`here`: the command line in this process, for what does not hang on a process of its own."""

from tests.cli.conftest import mtctl as here

__all__ = ["here"]
