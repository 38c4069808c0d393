"""Tables for papers: LaTeX with booktabs."""

from __future__ import annotations

import re

from mtctl.screens.tables import StackedTable

_MINUS = re.compile(r"(?<![\w-])-(?=\d)")
_SPECIAL = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        **{character: f"\\{character}" for character in "&%$#_{}"},
        "±": r"$\pm$",
        "≥": r"$\geq$",
        "≤": r"$\leq$",
        "|": r"\textbar{}",
        '"': r"\textquotedbl{}",
        "`": r"\textasciigrave{}",
        "<": "$<$",
        ">": "$>$",
        "→": r"$\to$",
        "Δ": r"$\Delta$",
        "–": "--",
    }
)


def latex(table: StackedTable) -> str:
    """Return the table as a `table` environment that needs the packages booktabs and graphicx."""
    columns = table.columns
    shape = "".join("l" if column.text else "r" for column in columns)
    lines = [[column.header for column in columns], *zip(*(column.cells for column in columns), strict=True)]
    head, *body = (_begun(" & ".join(_escaped(cell) for cell in line)) + r" \\" for line in lines)
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_escaped(table.title)}}}",
            r"\resizebox{\textwidth}{!}{%",
            rf"\begin{{tabular}}{{{shape}}}",
            r"\toprule",
            head,
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}}",
            r"\end{table}",
            "",
        ]
    )


def _begun(line: str) -> str:
    """Keep what begins a line from being read as an argument of the end of the line before."""
    return f"{{}}{line}" if line.startswith(("[", "*")) else line


def _escaped(text: str) -> str:
    """Return text as LaTeX writes it: with a minus before a number, which is longer than a hyphen."""
    return _MINUS.sub("$-$", " ".join(text.translate(_SPECIAL).split()))
