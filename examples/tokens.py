"""Python source, and two tasks: the kind of every character, and the module that the text comes from.

    mtctl diagnose examples/tokens.py:build --epochs 4

The texts are windows of 32 characters of four modules of the standard library. The kind of a character is
that of its token as `tokenize` tells it: nothing, name, keyword, number, string, operator or comment.
"""

import inspect
import io
import keyword
import tokenize
from functools import cache
from importlib import import_module
from itertools import accumulate

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from mtctl import Task, Training

MODULES = ("html.entities", "encodings.cp437", "argparse", "statistics")
KINDS = {tokenize.NAME: 1, tokenize.NUMBER: 3, tokenize.STRING: 4, tokenize.OP: 5, tokenize.COMMENT: 6}
LENGTH, STRIDE = 32, 128


class Tagger(nn.Module):
    """A transformer encoder of characters; one head reads every place, the other their mean."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.characters = nn.Embedding(128, width)
        self.places = nn.Parameter(torch.randn(LENGTH, width) * 0.1)
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.kind = nn.Linear(width, 7)
        self.module = nn.Linear(width, len(MODULES))

    def forward(self, text: Tensor) -> dict[str, Tensor]:
        """Return logits [N, 7, L] of kinds and [N, 4] of modules for text [N, L]."""
        hidden = self.encoder(self.characters(text) + self.places)
        return {"kind": self.kind(hidden).mT, "module": self.module(hidden.mean(1))}


@cache
def tagged(module: str) -> tuple[Tensor, Tensor]:
    """Return the characters of a module's source, and the kind of each."""
    source = inspect.getsource(import_module(module))
    kinds = torch.zeros(len(source), dtype=torch.long)
    starts = [0, *accumulate(map(len, source.splitlines(keepends=True)))]
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        (row, column), (last_row, last_column) = token.start, token.end
        kind = 2 if keyword.iskeyword(token.string) else KINDS.get(token.type, 0)
        kinds[starts[row - 1] + column : starts[last_row - 1] + last_column] = kind
    return torch.tensor([min(ord(character), 127) for character in source]), kinds


def windows(first: int, last: int) -> TensorDataset:
    """Return text, kinds and module of windows: of every module those from `first` to `last` percent."""
    rows = []
    for module, name in enumerate(MODULES):
        text, kinds = (values.unfold(0, LENGTH, STRIDE) for values in tagged(name))
        part = slice(first * len(text) // 100, last * len(text) // 100)
        rows.append((text[part], kinds[part], torch.full((len(text[part]),), module)))
    return TensorDataset(*(torch.cat(values) for values in zip(*rows, strict=True)))


def build(seed: int) -> Training:
    """Return the model, its tasks and its data; mtctl has seeded the generators with `seed`."""
    return Training(
        model=Tagger(),
        tasks={"kind": Task(F.cross_entropy), "module": Task(F.cross_entropy)},
        train=DataLoader(windows(0, 80), batch_size=32, shuffle=True),
        validation=DataLoader(windows(80, 90), batch_size=100),
        held_out=DataLoader(windows(90, 100), batch_size=100),
        optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=3e-3),
    )
