"""Tables for papers: LaTeX with booktabs."""

from __future__ import annotations

from mtctl.cli.screens.tables import StackedTable

_SPECIAL = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        **{character: f"\\{character}" for character in "&%$#_{}"},
        "±": r"$\pm$",
        "≥": r"$\geq$",
        "≤": r"$\leq$",
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
    head, *body = (" & ".join(_escaped(cell) for cell in line) + r" \\" for line in lines)
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


def _escaped(text: str) -> str:
    """Return text as LaTeX writes it. A minus sign is one, and not a hyphen, before a digit."""
    words = (f"${word}$" if _is_negative(word) else word.translate(_SPECIAL) for word in text.split())
    return " ".join(words)


def _is_negative(word: str) -> bool:
    return word[0] == "-" and word[1:].replace(",", "").replace(".", "").isdecimal()
