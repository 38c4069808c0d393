"""What differs between the methods' recipes."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtctl.analysis.comparison import Comparison, compare
from mtctl.recipes.loading import differences, dump, load
from mtctl.report.recipes import recipe_differences
from tests.history.runs_factory import write_run

MANY = (
    "shared_aware",
    "gradnorm_blind",
    "pcgrad_blind",
    "cagrad_blind",
    "equal_blind",
    "uncertainty_blind",
    "independent",
)


def compared(root: Path, *names: str) -> Comparison:
    for name in names:
        run = write_run(root, name)
        (run / "recipe.yaml").write_text(dump(load(name)))
    return compare([root], "shared_aware" if "shared_aware" in names else None)


@pytest.mark.parametrize("names", [MANY[:3], MANY])
def test_every_key_that_differs_is_there(tmp_path: Path, names: tuple[str, ...]) -> None:
    comparison = compared(tmp_path, *names)
    table, remarks = recipe_differences(comparison.methods, comparison.baseline)
    assert table is not None
    assert remarks == ()
    cells = {cell for column in table.columns for cell in column.cells}
    base = load("shared_aware")
    keys = {key for name in names for key, *_ in differences(base, load(name))} - {"name"}
    assert keys <= cells
    assert "name" not in cells
    assert {"gradnorm", "1.5"} <= cells
    if len(names) == 3:
        assert [column.header for column in table.columns][:2] == ["key", "shared_aware"]
        rows = dict(
            zip(
                table.columns[0].cells,
                zip(*(each.cells for each in table.columns[1:]), strict=True),
                strict=True,
            )
        )
        headers = [column.header for column in table.columns[1:]]
        assert dict(zip(headers, rows["balancer.kind"], strict=True)) == {
            "shared_aware": "equal",
            "gradnorm_blind": "gradnorm",
            "pcgrad_blind": "pcgrad",
        }
        assert dict(zip(headers, rows["balancer.alpha"], strict=True))["shared_aware"] == "–"
    else:
        assert [column.header for column in table.columns] == ["method", "key", "in shared_aware", "here"]


def test_a_recipe_that_cannot_be_read_is_told_of(tmp_path: Path) -> None:
    comparison = compared(tmp_path, *MANY[:3])
    (tmp_path / "shared_aware" / "seed0" / "recipe.yaml").write_text("name: 5")
    (tmp_path / "pcgrad_blind" / "seed0" / "recipe.yaml").unlink()
    table, remarks = recipe_differences(comparison.methods, comparison.baseline)
    assert table is None
    assert len(remarks) == 2
    assert all("its recipe cannot be read" in remark for remark in remarks)


def test_another_recipe_stands_in_for_the_baseline(tmp_path: Path) -> None:
    comparison = compared(tmp_path, *MANY[:3])
    (tmp_path / "shared_aware" / "seed0" / "recipe.yaml").unlink()
    table, _ = recipe_differences(comparison.methods, comparison.baseline)
    assert table is not None
    assert {column.header for column in table.columns} == {"key", "gradnorm_blind", "pcgrad_blind"}


def test_equal_recipes_differ_in_nothing(tmp_path: Path) -> None:
    for name in ("a", "b"):
        run = write_run(tmp_path, name)
        (run / "recipe.yaml").write_text(dump(load("shared_aware")).replace("shared_aware", name))
    comparison = compare([tmp_path])
    assert recipe_differences(comparison.methods, comparison.baseline) == (None, ())
