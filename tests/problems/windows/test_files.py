from __future__ import annotations

import csv
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from mtctl.errors import MtctlError
from mtctl.problems.windows import tables
from mtctl.problems.windows.files import read_windows
from mtctl.problems.windows.windows import LENGTH, PRICES, TYPES, Floats

WIDE = [f"{price}_{bar}" for bar in range(LENGTH) for price in PRICES]
Row = dict[str, Any]


def bars(seed: int, scale: float = 1.0) -> Floats:
    """Return [105, 4] valid bars that no other seed has."""
    rng = np.random.default_rng(seed)
    closed = 100 * scale * np.exp(np.cumsum(rng.normal(0, 1e-2, LENGTH + 1)))
    body = np.stack([closed[:-1], closed[1:]])
    return np.stack([body[0], body.max(0) * 1.01, body.min(0) * 0.99, body[1]], axis=1)


def row(number: int, **changed: object) -> Row:
    prices = zip(WIDE, bars(number).ravel().tolist(), strict=True)
    span = {"label": TYPES[number % 2], "expansion_start": 40 + number, "expansion_end": 45 + number}
    return {"window_id": f"w{number}", **span, **dict(prices), **changed}


def write_csv(path: Path, rows: Iterable[Mapping[str, object]], encoding: str = "utf-8") -> Path:
    rows = list(rows)
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_parquet(path: Path, rows: Iterable[Mapping[str, object]]) -> Path:
    parquet.write_table(pa.Table.from_pylist([dict(row) for row in rows]), path)
    return path


def nested(row: Row) -> Row:
    prices = [row[name] for name in WIDE]
    rest = {name: cell for name, cell in row.items() if name not in WIDE}
    return {**rest, "bars": [prices[index : index + 4] for index in range(0, len(prices), 4)]}


def failure(path: Path) -> MtctlError:
    with pytest.raises(MtctlError) as caught:
        read_windows(path)
    assert caught.value.code == 2
    assert caught.value.hint
    return caught.value


def problems(path: Path) -> list[str]:
    """Return the problems in the file, without the path; their number is checked."""
    title, *lines = failure(path).message.split("\n")
    count = len(lines)
    assert title == f"{path} does not hold windows in mtctl's schema ({count} problem{'s' * (count > 1)})"
    return [line.removeprefix(f"  {path}") for line in lines]


def check_rows(path: Path) -> None:
    found = read_windows(path)
    assert found.ids == ("w0", "w1", "w2")
    assert (found.bars == np.stack([bars(number) for number in range(3)])).all()
    assert found.label.tolist() == [0, 1, 0]
    assert found.start.tolist() == [40, 41, 42]
    assert found.end.tolist() == [45, 46, 47]
    assert found.base.tolist() == [0, 1, 2]


def test_a_csv_file_is_read(tmp_path: Path) -> None:
    check_rows(write_csv(tmp_path / "windows.csv", map(row, range(3))))


def test_parquet_files_are_read(tmp_path: Path) -> None:
    check_rows(write_parquet(tmp_path / "wide.parquet", map(row, range(3))))
    check_rows(write_parquet(tmp_path / "nested.PARQUET", (nested(row(number)) for number in range(3))))


def test_parquet_lists_of_a_fixed_size_are_read(tmp_path: Path) -> None:
    rows = [nested(row(number)) for number in range(3)]
    lists = pa.list_(pa.list_(pa.float64(), 4), 105)
    table = pa.Table.from_pylist([{**row, "bars": None} for row in rows])
    column = pa.array([row["bars"] for row in rows], type=lists)
    parquet.write_table(table.drop_columns("bars").append_column("bars", column), tmp_path / "fixed.parquet")
    check_rows(tmp_path / "fixed.parquet")


@pytest.mark.parametrize(("write", "name"), [(write_csv, "w.csv"), (write_parquet, "w.parquet")])
def test_columns_may_stand_in_any_order(tmp_path: Path, write: Callable[..., Path], name: str) -> None:
    order = np.random.default_rng(0).permutation(list(row(0)))
    check_rows(
        write(tmp_path / name, [{column: row(number)[column] for column in order} for number in range(3)])
    )


def test_what_spreadsheets_and_pandas_write_is_read(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "windows.csv", map(row, range(3)), encoding="utf-8-sig")
    text = path.read_bytes().replace(b",40,45,", b", 40.0 ,45.0,").replace(b"\r\n", b"\r\n\r\n")
    path.write_bytes(text.replace(b"w1,", b'"w1",').replace(b",retracement", b", retracement"))
    check_rows(path)


def test_whole_numbers_are_names_and_prices_too(tmp_path: Path) -> None:
    rows = [row(0, window_id=12, base_id=3.0, **dict.fromkeys(WIDE, 7)), row(1, window_id=13, base_id=None)]
    found = read_windows(write_parquet(tmp_path / "w.parquet", rows))
    assert found.ids == ("12", "13")
    assert found.base.tolist() == [0, 1]
    assert (found.bars[0] == 7).all()


@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_base_ids_and_common_bars_make_bases(tmp_path: Path, write: Callable[..., Path]) -> None:
    shifted = np.vstack([bars(0)[100:], bars(9)[:100]]).ravel().tolist()
    rows = [
        row(0, base_id=None),
        row(1, base_id="monday"),
        row(2, base_id="monday"),
        row(3, base_id=None, **dict(zip(WIDE, shifted, strict=True))),
        row(4, base_id=None),
    ]
    suffix = "csv" if write is write_csv else "parquet"
    assert read_windows(write(tmp_path / f"w.{suffix}", rows)).base.tolist() == [0, 1, 1, 0, 2]


def test_one_window_may_have_several_expansions_under_distinct_ids(tmp_path: Path) -> None:
    rows = [row(0), row(0, window_id="again", expansion_start=80, expansion_end=80)]
    assert read_windows(write_csv(tmp_path / "w.csv", rows)).base.tolist() == [0, 0]


TYPE = "expected consolidation or retracement"
BARS = "expected a list of open, high, low, close"
WHOLE = "expected a whole number from 0 to 104"
CELLS = [
    ({"open_3": "abc"}, ["`open_3` is 'abc', expected a number"]),
    ({"open_3": "1,5"}, ["`open_3` is '1,5', expected a number"]),
    ({"open_3": ""}, ["`open_3` is empty, expected a number"]),
    ({"high_0": "nan"}, ["`high_0` is 'nan', expected a finite number"]),
    ({"close_104": "1e999"}, ["`close_104` is '1e999', expected a finite number"]),
    ({"high_9": "inf"}, ["`high_9` is 'inf', expected a finite number"]),
    ({"low_7": "0"}, ["`low_7` is '0', expected a price above 0"]),
    (
        {"low_7": "-2.5", "open_7": "x"},
        ["`open_7` is 'x', expected a number", "`low_7` is '-2.5', expected a price above 0"],
    ),
    ({"high_2": "3.5", "low_2": "4"}, ["`high_2` is '3.5', expected at least `low_2`, 4.0"]),
    (
        {"open_2": "3", "high_2": "6", "low_2": "4", "close_2": "7"},
        [
            "`open_2` is '3', expected a price from `low_2` to `high_2`, 4.0 to 6.0",
            "`close_2` is '7', expected a price from `low_2` to `high_2`, 4.0 to 6.0",
        ],
    ),
    ({"label": "retracment"}, [f"`label` is 'retracment', {TYPE}: did you mean `retracement`?"]),
    ({"label": "up"}, [f"`label` is 'up', {TYPE}"]),
    ({"label": ""}, [f"`label` is empty, {TYPE}"]),
    ({"expansion_start": "4.5"}, [f"`expansion_start` is '4.5', {WHOLE}"]),
    ({"expansion_start": "-1"}, ["`expansion_start` is '-1', expected a bar from 0 to 104"]),
    ({"expansion_end": "105"}, ["`expansion_end` is '105', expected a bar from 0 to 104"]),
    (
        {"expansion_end": "inf", "expansion_start": "?"},
        [f"`expansion_start` is '?', {WHOLE}", f"`expansion_end` is 'inf', {WHOLE}"],
    ),
    ({"expansion_end": "40"}, ["`expansion_end` is '40', expected at least `expansion_start`, 41"]),
    ({"window_id": " "}, ["`window_id` is ' ', expected printable text or a whole number"]),
    ({"window_id": "w0"}, ["`window_id` is 'w0', expected a new one: {path}:2 has it too"]),
    ({"window_id": "a\x1b[1m"}, [r"`window_id` is 'a\x1b[1m', expected printable text or a whole number"]),
]


@pytest.mark.parametrize(("changed", "expected"), CELLS)
def test_a_wrong_cell_is_named(tmp_path: Path, changed: Row, expected: list[str]) -> None:
    path = write_csv(tmp_path / "windows.csv", [row(0), row(1, **changed), row(2)])
    assert problems(path) == [f":3: {line.format(path=path)}" for line in expected]


def test_problems_of_all_rows_are_listed_in_the_order_of_the_file(tmp_path: Path) -> None:
    rows = [row(0, label="x"), row(1), row(2, open_0="?", expansion_end=0), row(3, window_id="w0")]
    places = [line.split("`")[:2] for line in problems(write_csv(tmp_path / "w.csv", rows))]
    assert places == [[":2: ", "label"], [":4: ", "expansion_end"], [":4: ", "open_0"], [":5: ", "window_id"]]


def test_rows_without_a_name_are_not_taken_for_namesakes(tmp_path: Path) -> None:
    rows = [row(0, window_id=""), row(1, window_id="")]
    empty = "`window_id` is empty, expected printable text or a whole number"
    assert problems(write_csv(tmp_path / "w.csv", rows)) == [f":2: {empty}", f":3: {empty}"]


def test_many_problems_are_counted(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "windows.csv", [row(0), row(1, **dict.fromkeys(WIDE, "x"))])
    title, *lines = failure(path).message.split("\n")
    assert title.endswith("(420 problems)")
    assert len(lines) == 21
    assert lines[0] == f"  {path}:3: `open_0` is 'x', expected a number"
    assert lines[-1] == "  and 400 more"


def test_lines_are_counted_over_quoted_line_breaks_and_blank_lines(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "windows.csv", [row(0, window_id="two\nlines"), row(1), row(2, label="x")])
    path.write_bytes(path.read_bytes().replace(b"w1,", b"\r\nw1,"))
    assert [line.split(" ")[0] for line in problems(path)] == [":2:", ":6:"]


@pytest.mark.parametrize(("end", "count"), [(b",1", 425), (b"", 423)])
def test_rows_with_another_number_of_fields_are_named(tmp_path: Path, end: bytes, count: int) -> None:
    path = write_csv(tmp_path / "windows.csv", map(row, range(2)))
    head, first, second, _ = path.read_bytes().split(b"\r\n")
    second = second + end if end else second.rpartition(b",")[0]
    path.write_bytes(b"\n".join([head, first, second]))
    assert problems(path) == [f":3: found {count} fields, expected 424 as in the first line"]


def test_bytes_that_are_no_text_are_named_where_they_stand(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "windows.csv", [row(0), row(1, window_id="größe")], encoding="latin-1")
    assert problems(path) == [
        r":3: `window_id` is 'gr\udcf6\udcdfe', expected printable text or a whole number"
    ]
    assert read_windows(write_csv(path, [row(1, window_id="größe")])).ids == ("größe",)


def renamed(old: str, new: str) -> list[Row]:
    return [{new if name == old else name: cell for name, cell in row(0).items()}]


HEADS = [
    (renamed("open_3", "opne_3"), ["unknown column 'opne_3': did you mean `open_3`?"]),
    (renamed("label", "Label"), ["unknown column 'Label': did you mean `label`?"]),
    ([row(0, volume=3)], ["unknown column 'volume': leave it out"]),
    (
        [{"": 0, **row(0)}],
        ["column 1 has no name (pandas writes its index like this: use to_csv(…, index=False))"],
    ),
    (
        [{name: cell for name, cell in row(0).items() if name not in ("label", "low_9")}],
        ["missing: `label`, `low_9`"],
    ),
    (
        [{"window_id": 1}],
        ["missing: `label`, `expansion_start`, `expansion_end`, `open_0`, `high_0`, and 418 more"],
    ),
]


@pytest.mark.parametrize(("rows", "expected"), HEADS)
def test_wrong_columns_are_named(tmp_path: Path, rows: list[Row], expected: list[str]) -> None:
    assert problems(write_csv(tmp_path / "w.csv", rows)) == [f":1: {line}" for line in expected]
    assert problems(write_parquet(tmp_path / "w.parquet", rows)) == [f": {line}" for line in expected]


def test_a_column_that_is_there_twice_is_named(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "windows.csv", [row(0)])
    path.write_bytes(path.read_bytes().replace(b"\r\n", b",open_3\r\n"))
    assert problems(path) == [":1: column 'open_3' occurs more than once"]
    table = pa.Table.from_pylist([row(0)])
    parquet.write_table(table.append_column("open_3", table["open_3"]), tmp_path / "twice.parquet")
    assert problems(tmp_path / "twice.parquet") == [": column 'open_3' occurs more than once"]


def test_a_csv_file_has_no_nested_bars(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "windows.csv", [row(0, bars="[]")])
    assert problems(path) == [":1: unknown column 'bars': leave it out"]


def test_nested_bars_leave_no_room_for_columns_of_prices(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "windows.parquet", [nested(row(0)) | {"open_0": 1.0}])
    assert problems(path) == [": unknown column 'open_0': leave it out"]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (None, "`bars` is empty, expected a list of 105 bars"),
        ([[1.0] * 4] * 104, "`bars` is a list of 104, expected a list of 105 bars"),
        ([[1.0] * 4, [1.0] * 3] + [[1.0] * 4] * 103, f"`bars[1]` is [1.0, 1.0, 1.0], {BARS}"),
        ([[1.0] * 4, None] + [[1.0] * 4] * 103, f"`bars[1]` is empty, {BARS}"),
        ([[1.0] * 4] * 104 + [[1.0, None, 1.0, 1.0]], "`high_104` is empty, expected a number"),
        ([[1.0] * 4] * 104 + [[1.0, 1.0, 1.0, float("nan")]], "`close_104` is nan, expected a finite number"),
    ],
)
def test_wrong_nested_bars_are_named(tmp_path: Path, cell: object, expected: str) -> None:
    path = write_parquet(tmp_path / "w.parquet", [nested(row(0)), nested(row(1)) | {"bars": cell}])
    assert problems(path) == [f", row 2: {expected}"]


def test_cells_of_other_types_are_named(tmp_path: Path) -> None:
    wrong = {"window_id": 0.5, "label": 1, "expansion_start": None, "expansion_end": 50.5, "base_id": 2.5}
    assert problems(write_parquet(tmp_path / "w.parquet", [row(1, **wrong)])) == [
        ", row 1: `window_id` is 0.5, expected printable text or a whole number",
        ", row 1: `label` is 1, expected consolidation or retracement",
        f", row 1: `expansion_start` is empty, {WHOLE}",
        f", row 1: `expansion_end` is 50.5, {WHOLE}",
        ", row 1: `base_id` is 2.5, expected printable text or a whole number",
    ]


def test_rows_are_counted_over_row_groups(tmp_path: Path) -> None:
    rows = [row(number % 50, window_id=str(number), label="x" * (number == 700)) for number in range(701)]
    for good in rows[:-1]:
        good["label"] = TYPES[0]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "w.parquet", row_group_size=300)
    assert problems(tmp_path / "w.parquet") == [
        ", row 701: `label` is 'x', expected consolidation or retracement"
    ]


HEAD = ",".join(row(0)).encode()
FILES: list[tuple[str, bytes, str, str]] = [
    ("w.csv", b"", "is empty", "again"),
    ("w.parquet", b"", "is empty", "again"),
    ("w.csv", HEAD + b"\n", "holds no windows", "a row holds window_id"),
    ("w.csv", b"PAR1\x00\xff", "is a parquet file", ".parquet"),
    ("w.csv", b"\x89PNG\r\n\x1a\n\x00", ":1 is not UTF-8 text", "UTF-8"),
    ("w.csv", "window_id".encode("utf-16"), ":1 is not UTF-8 text", "UTF-8"),
    ("w.csv", HEAD.replace(b",", b";"), ":1 is not separated by commas: found ';'", "commas"),
    ("w.csv", HEAD.replace(b",", b"\t"), r":1 is not separated by commas: found '\t'", "commas"),
    (
        "w.csv",
        HEAD + b'\n"' + b"x" * 200_000,
        ":2 is not CSV: field larger than field limit",
        "quotation mark",
    ),
    ("w.parquet", b"window_id,open_0\n", "is not a parquet file", ".csv"),
    ("w.parquet", b"PAR1" + b"\x00" * 50, "is an incomplete or damaged parquet file", "again"),
    ("w.json", b"[]", "is neither a .csv nor a .parquet file", "name the file"),
    ("w", b"[]", "is neither a .csv nor a .parquet file", "name the file"),
]


@pytest.mark.parametrize(("name", "content", "message", "hint"), FILES)
def test_files_of_another_kind_are_refused(
    tmp_path: Path, name: str, content: bytes, message: str, hint: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    error = failure(path)
    assert str(path) in error.message
    assert message in error.message
    assert hint in (error.hint or "")


def test_a_damaged_parquet_file_is_refused(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "w.parquet", map(row, range(40)))
    content = path.read_bytes()
    path.write_bytes(content[:4] + bytes(4000) + content[4004:])
    assert "is an incomplete or damaged parquet file" in failure(path).message
    path.write_bytes(content[:-100])
    assert "is an incomplete or damaged parquet file" in failure(path).message


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    write_csv(tmp_path / "windows.csv", [row(0)])
    error = failure(tmp_path / "windws.csv")
    assert error.message == f"there is no file {tmp_path / 'windws.csv'}"
    assert error.hint == f"did you mean {tmp_path / 'windows.csv'}?"
    assert failure(tmp_path / "else" / "windows.csv").hint == "check the path"
    assert failure(tmp_path).message == f"{tmp_path} is a folder"


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_parquet(tmp_path / "w.parquet", [row(0)])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    error = failure(path)
    assert error.message == f"{path} cannot be read without pyarrow, which is not installed"
    assert error.hint == 'pip install "mtctl[data]"'
    assert len(read_windows(write_csv(tmp_path / "w.csv", [row(0)]))) == 1


@given(
    position=st.integers(0, 423),
    cell=st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.floats().map(str),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_cell_holds_is_read_or_named(tmp_path: Path, position: int, cell: str) -> None:
    column = list(row(1))[position]
    path = write_csv(tmp_path / "windows.csv", [row(0), row(1, **{column: cell})])
    try:
        assert len(read_windows(path)) == 2
    except MtctlError as error:
        assert f"{path}:3: `" in error.message


@given(content=st.binary(max_size=300))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize(("name", "begin"), [("w.csv", HEAD + b"\n"), ("w.csv", b""), ("w.parquet", b"PAR1")])
def test_random_bytes_are_refused(tmp_path: Path, name: str, begin: bytes, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(begin + content)
    assert str(path) in failure(path).message


def test_windows_come_from_a_file_and_not_from_a_pipe_or_a_device(tmp_path: Path) -> None:
    path = tmp_path / "windows.csv"
    os.mkfifo(path)
    assert "it is a pipe, not a file" in failure(path).message
    path.unlink()
    path.symlink_to("/dev/zero")
    assert "it is a device, not a file" in failure(path).message


def test_a_file_beyond_memory_is_refused_by_its_size(tmp_path: Path) -> None:
    path = tmp_path / "windows.csv"
    with path.open("wb") as file:
        file.truncate(10**13)
    message = failure(path).message
    assert "windows.csv is too large: 10 TB, which take about 15 TB of memory; this machine has" in message


def test_a_parquet_file_is_refused_by_what_it_announces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_parquet(tmp_path / "windows.parquet", [row(number) for number in range(5)])
    read_windows(path)
    monkeypatch.setattr(tables, "memory", lambda: 20_000)
    message = failure(path).message
    assert re.search(
        r"is too large: its 5 rows take \S+ kB or more of memory; this machine has 20 kB", message
    )
