from __future__ import annotations

import dataclasses
import json
import os
import pickle
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from mtctl.errors import ExitCode, MtctlError
from mtctl.problems.code import pinned, versions
from mtctl.problems.python.builder import Builder, call, file_digest, files_of, find_builder, training_of
from mtctl.problems.python.training import Task, Training

WORKING = """
import mtctl, torch
from torch import nn
from torch.nn import functional as F

def build(seed, width=4):
    model = nn.ModuleDict({"trunk": nn.Linear(3, width), "depth_head": nn.Linear(width, 1)})
    batches = [(torch.randn(8, 3), torch.randn(8, 1))]
    return mtctl.Training(
        model=model, tasks={"depth": mtctl.Task(loss=F.l1_loss)}, train=batches, validation=batches,
    )
"""

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def _own_modules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Leave no module and no folder of a test behind."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    known = set(sys.modules)
    yield
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def file(text: str, name: str = "nets.py") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return file


def refused(function: Callable[..., Any], *arguments: Any) -> MtctlError:
    with pytest.raises(MtctlError) as caught:
        function(*arguments)
    assert caught.value.code == ExitCode.USAGE
    return caught.value


def test_a_function_in_a_file(write: Write) -> None:
    path = write(WORKING)
    builder = find_builder("nets.py:build")
    assert (builder.name, builder.file) == ("nets.py:build", path)
    assert find_builder(f"{path}:build").function is builder.function  # imported once
    training = training_of(builder, 0, {"width": 5})
    assert isinstance(training, Training)
    assert training.model["trunk"].out_features == 5  # type: ignore[index]
    digest = file_digest(builder)
    assert digest is not None
    assert len(digest) == 64
    path.unlink()
    assert file_digest(builder) is None


def test_a_module_by_its_name(write: Write) -> None:
    write("", "package_of_nets/__init__.py")
    path = write(WORKING, "package_of_nets/deep.py")
    builder = find_builder("package_of_nets.deep:build")
    assert builder.file == path
    assert training_of(builder, 0, {})


def test_a_file_that_has_changed_is_imported_anew_with_what_lies_beside_it(write: Write) -> None:
    write("VALUE = 1\n", "beside.py")
    write("import beside\ndef build(seed): return beside.VALUE\n")
    assert find_builder("nets.py:build").function(0) == 1
    write("VALUE = 2\n", "beside.py")
    write("import beside\ndef build(seed): return -beside.VALUE\n")  # within one second
    os.utime("beside.py", (1, 1))
    assert find_builder("nets.py:build").function(0) == -2


def test_files_of_two_folders_have_neighbours_of_their_own(write: Write) -> None:
    for folder in ("one", "two"):
        write(f"NAME = '{folder}'\n", f"{folder}/beside.py")
        write("import beside\ndef build(seed): return beside.NAME\n", f"{folder}/nets.py")
    builders = [find_builder(f"{folder}/nets.py:build") for folder in ("one", "two")]
    assert [builder.function(0) for builder in builders] == ["one", "two"]


def test_imports_inside_of_a_function_work_later(write: Write) -> None:
    write("VALUE = 3\n", "much_later.py")
    write("def build(seed):\n    import much_later\n    return much_later.VALUE\n")
    assert find_builder("nets.py:build").function(0) == 3


def test_the_file_runs_as_a_script_would(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write("import sys\nprint('hello')\nARGUMENTS = sys.argv\ndef build(seed): return ARGUMENTS\n")
    before = sys.argv
    assert find_builder("nets.py:build").function(0) == [str(Path("nets.py").absolute())]
    assert sys.argv is before
    assert capsys.readouterr() == ("", "hello\n")  # stdout is for tables and JSON


@pytest.mark.parametrize("name", ["nets.py", "json.py", "a-b.py"])
def test_dataclasses_and_pickle_find_the_module(write: Write, name: str) -> None:
    write("import dataclasses\n@dataclasses.dataclass\nclass Rows:\n    count: int = 3\n", name)
    rows = find_builder(f"{name}:Rows").function()
    assert dataclasses.asdict(pickle.loads(pickle.dumps(rows))) == {"count": 3}
    assert sys.modules["json"] is json


def test_a_worker_that_starts_afresh_finds_the_module(write: Write, tmp_path: Path) -> None:
    write("class Rows:\n    count = 3\n")
    pickled = pickle.dumps(find_builder("nets.py:Rows").function())
    code = f"import sys, pickle; sys.path[:] = {sys.path!r}; print(pickle.loads({pickled!r}).count)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout == "3\n"


@pytest.mark.parametrize(
    ("name", "text", "hint"),
    [
        ("net.py:build", "there is no file net.py", "did you mean `nets.py`?"),
        ("elsewhere/x.py:build", "there is no file elsewhere/x.py", "paths are relative"),
        ("notes.txt:build", "does not end in .py", "FILE.py:FUNCTION"),
        ("folder:build", "folder is a directory, not a Python file", "folder/inner.py"),
        ("./folder:build", "./folder is a directory, not a Python file", "folder/inner.py"),
        ("nets.py", "nets.py names a file, but no function in it", "nets.py:build"),
        ("nets", "names no function", "FILE.py:FUNCTION"),
        ("nets.py:biuld", "nets.py has no function `biuld`", "did you mean `build`?"),
        ("nets.py:WIDTH", "`WIDTH` is no function: it is an int", "choose from: build"),
        ("no_such_module:build", "there is no module no_such_module", "FILE.py:FUNCTION"),
        ("folder.inner.more:build", "there is no module folder.inner.more", "FILE.py:FUNCTION"),
        ("a\0.py:build", "there is no file a\0.py", "paths are relative"),
    ],
)
def test_a_name_that_leads_to_no_function(write: Write, name: str, text: str, hint: str) -> None:
    write(f"{WORKING}\nWIDTH = 3\n")
    write("", "notes.txt")
    write("", "folder/inner.py")
    error = refused(find_builder, name)
    assert text in error.message
    assert hint in (error.hint or "")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(write: Write) -> None:
    write(WORKING).chmod(0)
    assert "cannot be read: Permission denied" in refused(find_builder, "nets.py:build").message


def test_a_file_that_is_no_python(write: Write) -> None:
    write("import torch\n\ndef build(seed)\n    return 1\n")
    error = refused(find_builder, "nets.py:build")
    lines = error.message.splitlines()
    assert lines == ["nets.py:3: expected ':'", "    def build(seed)", "                   ^"]
    write("x = '\0'\n")
    assert "null bytes" in refused(find_builder, "nets.py:build").message


def test_a_mistake_in_a_file_beside_it_is_told_where_it_is(write: Write) -> None:
    write("def net(:\n", "beside.py")
    write("import beside\ndef build(seed): ...\n")
    assert "beside.py:1: " in refused(find_builder, "nets.py:build").message
    write("x = {}['missing']\n", "beside.py")
    assert refused(find_builder, "nets.py:build").message.splitlines() == [
        "importing nets.py failed: KeyError: 'missing'",
        "  nets.py:1: import beside",
        "  beside.py:1: x = {}['missing']",
    ]
    write("x = 1\n", "beside.py")
    assert find_builder("nets.py:build")  # a file that failed is tried again


def test_a_package_that_is_missing(write: Write) -> None:
    write("import no_such_package.inner\ndef build(seed): ...\n")
    error = refused(find_builder, "nets.py:build")
    assert "ModuleNotFoundError: No module named 'no_such_package'" in error.message
    assert error.hint is not None
    assert error.hint.endswith("pip install no_such_package`")
    write("import no_such_package\n", "importing.py")
    assert "importing importing failed" in refused(find_builder, "importing:build").message


def test_a_script_that_ends_itself(write: Write) -> None:
    write("import sys\nsys.exit('done')\ndef build(seed): ...\n")
    error = refused(find_builder, "nets.py:build")
    assert "SystemExit: done" in error.message
    assert "__main__" in (error.hint or "")


@pytest.mark.parametrize(
    ("head", "arguments", "text", "hint"),
    [
        ("def build()", {}, "takes nothing, but no argument `seed`", "def build(seed, …)"),
        ("def build(width)", {}, "takes width, but no argument `seed`", "def build(seed, …)"),
        ("def build(seed, width=1)", {"widht": 2}, "takes no argument `widht`", "did you mean `width`?"),
        ("def build(seed)", {"width": 2}, "takes no argument `width`", "it takes `seed` only"),
        (
            "def build(seed, width, *, depth)",
            {"width": 2},
            "needs `depth`, which",
            "-o problem.arguments.depth=VALUE",
        ),
        ("def build(seed)", {"seed": 2}, "`seed` stands in `problem.arguments`", "--seed"),
    ],
)
def test_a_function_that_cannot_be_called_so(
    write: Write, head: str, arguments: dict[str, Any], text: str, hint: str
) -> None:
    write(f"\n{head}: ...\n")
    error = refused(training_of, find_builder("nets.py:build"), 0, arguments)
    assert error.message.startswith("nets.py:2 build: ")
    assert text in error.message
    assert hint in (error.hint or "")


def test_any_argument_may_be_taken(write: Write) -> None:
    write(WORKING.replace("build(seed, width=4)", "build(*, width=4, **others)"))
    assert training_of(find_builder("nets.py:build"), 0, {"more": 2})


def draws() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(1))


def test_generators_start_from_the_seed_and_are_left_as_they_were(write: Write) -> None:
    write(
        "import random, numpy, torch\n"
        "def draw(): return random.random(), float(numpy.random.rand()), float(torch.rand(1))\n"
        "TOP = draw()\n" + WORKING.replace("    model =", "    global DRAWN\n    DRAWN = draw()\n    model =")
    )
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    expected = draws()
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    builder = find_builder("nets.py:build")
    drawn = []
    for seed in (0, 0, 2**60):
        training_of(builder, seed, {})
        drawn.append(sys.modules["nets"].DRAWN)
    assert draws() == expected
    assert drawn[0] == drawn[1]
    assert not set(drawn[0]) & set(drawn[2])  # though torch's generator takes 32 bits only
    top = sys.modules["nets"].TOP
    write(Path("nets.py").read_text(encoding="utf-8") + "\n")
    find_builder("nets.py:build")
    assert top == sys.modules["nets"].TOP


def test_what_fails_inside_is_told_with_the_users_own_places(write: Write) -> None:
    write(
        "from torch import nn\n"
        "import torch\n"
        "def build(seed):\n"
        "    return forward(nn.Linear(2, 2))\n"
        "def forward(model):\n"
        "    return model(torch.ones(3))\n"
    )
    error = refused(training_of, find_builder("nets.py:build"), 0, {})
    head, *places = error.message.splitlines()
    assert head.startswith("nets.py:build failed: RuntimeError: mat1 and mat2")
    assert places == [
        "  nets.py:4 in build: return forward(nn.Linear(2, 2))",
        "  nets.py:6 in forward: return model(torch.ones(3))",
    ]
    assert isinstance(error.__cause__, RuntimeError)


def test_the_last_places_of_many_are_shown(write: Write) -> None:
    write("def build(seed):\n    if seed == 9:\n        raise ValueError\n    build(seed + 1)\n")
    lines = refused(training_of, find_builder("nets.py:build"), 0, {}).message.splitlines()
    assert lines[0] == "nets.py:build failed: ValueError"
    assert lines[1:] == ["  nets.py:4 in build: build(seed + 1)"] * 3 + [
        "  nets.py:3 in build: raise ValueError"
    ]


def test_a_long_text_of_an_exception_is_cut_and_indented() -> None:
    def fail() -> None:
        raise ValueError("\n".join(map(str, range(50))))

    lines = refused(call, "the loss of `a`", fail).message.splitlines()
    assert lines[0] == "the loss of `a` failed: ValueError: 0"
    assert lines[1:6] == [f"    {number}" for number in range(1, 6)]
    assert all(line.startswith("  ") for line in lines[1:])


def test_a_failure_in_a_worker_process_is_told_by_its_own_places(write: Write) -> None:
    write(
        "class Rows:\n"
        "    def __len__(self): return 2\n"
        "    def __getitem__(self, row):\n"
        "        return {}['image']\n"
    )
    loader = DataLoader(find_builder("nets.py:Rows").function(), num_workers=1)
    error = refused(call, "a batch of `train`", lambda: list(loader))
    lines = error.message.splitlines()
    assert lines[0] == "a batch of `train` failed: KeyError: 'image'"
    assert lines[-1] == "  nets.py:4 in __getitem__: return {}['image']"


@pytest.mark.parametrize(
    "error",
    [
        MtctlError("explained"),
        KeyboardInterrupt(),
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_what_others_explain_passes_through(error: BaseException) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        call("the loss", fail)
    assert caught.value is error


class Stream(IterableDataset[int]):
    def __iter__(self) -> Iterator[int]:
        return iter([1, 2])


BATCHES = [(torch.ones(2, 3), torch.ones(2, 1))]
MODEL = nn.ModuleDict({"trunk": nn.Linear(3, 4), "depth_head": nn.Linear(4, 1)})


def depth(**more: Any) -> dict[str, Task]:
    return {"depth": Task(**{"loss": nn.L1Loss(), **more})}


def built(**changes: Any) -> Training:
    given = {"model": MODEL, "tasks": depth(), "train": BATCHES, "validation": BATCHES, **changes}
    builder = Builder("nets.py:build", lambda seed: Training(**given), Path("nets.py"))
    return training_of(builder, 0, {})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"train": DataLoader(TensorDataset(torch.ones(4, 3)), batch_size=2)},
        {"train": DataLoader(Stream(), batch_size=2)},
        {"train": Stream(), "held_out": (BATCHES[0],)},
        {"tasks": {}, "losses": lambda batch: {}},
        {"tasks": depth(head="depth_head", target=0, mask="mask", score=len), "last_shared": "trunk.weight"},
        {"optimizer": torch.optim.AdamW, "scheduler": lambda optimizer: None, "scheduler_every": "update"},
    ],
)
def test_trainings_that_can_be_trained(changes: dict[str, Any]) -> None:
    assert isinstance(built(**changes), Training)


@pytest.mark.parametrize(
    ("changes", "text", "hint"),
    [
        ({"model": nn.Linear}, "`model` is the class Linear", "model=Linear(…)"),
        ({"model": {"a": MODEL}}, "`model` must be an nn.Module, but it is a dict", "nn.ModuleDict"),
        ({"model": None}, "`model` must be an nn.Module, but it is None", "give the module"),
        ({"model": nn.ReLU()}, "`model` has no parameter that can be trained", "requires_grad"),
        ({"model": nn.LazyLinear(2)}, "parameters without a shape yet", "call it on a batch"),
        ({"tasks": [Task(F.l1_loss)]}, "`tasks` must be a mapping", "mtctl.Task(loss=…)"),
        ({"tasks": {}}, "there are no tasks", "losses=lambda batch"),
        ({"losses": len}, "`tasks` and `losses` are both given", "leave out `losses`"),
        ({"tasks": {"depth": len}}, "task `depth` must be an mtctl.Task", "mtctl.Task(loss=…)"),
        ({"tasks": {1: Task(F.l1_loss)}}, "called 1, which is no string", "words"),
        ({"tasks": {"": Task(F.l1_loss)}}, "cannot be called ''", "printable"),
        ({"tasks": {"a/b": Task(F.l1_loss)}}, "cannot be called 'a/b'", "neither `|`"),
        ({"tasks": {"a.b": Task(F.l1_loss)}}, "cannot be called 'a.b'", "neither `|`"),
        ({"tasks": {"a|b": Task(F.l1_loss)}}, "cannot be called 'a|b'", "neither `|`"),
        ({"tasks": {"a\n": Task(F.l1_loss)}}, "cannot be called", "printable"),
        ({"tasks": depth(loss=nn.L1Loss)}, "`loss` of task `depth` is the class L1Loss", "L1Loss()"),
        ({"tasks": depth(loss=None)}, "`loss` of task `depth` must be a function", "lambda outputs"),
        ({"tasks": depth(score=3)}, "`score` of task `depth` must be a function", "lambda outputs"),
        ({"tasks": depth(target=True)}, "`target` of task `depth` must be a key", "lambda batch"),
        ({"tasks": depth(mask=[1])}, "`mask` of task `depth` must be a key", "lambda batch"),
        ({"tasks": depth(head="dept_head")}, "'dept_head', but the model", "did you mean `depth_head`?"),
        ({"tasks": depth(head=3)}, "`head` of task `depth` must be a name", "such as"),
        ({"last_shared": "x"}, "`last_shared` is 'x'", "its modules: trunk, depth_head"),
        ({"train": iter(BATCHES)}, "`train` is a list_iterator, which can be iterated once", "DataLoader"),
        ({"train": (batch for batch in BATCHES)}, "`train` is a generator", "a class with __iter__"),
        ({"train": lambda: BATCHES}, "`train` must yield batches", "a DataLoader"),
        ({"train": torch.ones(3)}, "`train` must yield batches, but it is a Tensor", "a DataLoader"),
        ({"validation": TensorDataset(torch.ones(3))}, "`validation` is a data set", "batch_size"),
        ({"validation": []}, "`validation` has no batches", "at least one"),
        ({"validation": None}, "`validation` must yield batches, but it is None", "DataLoader"),
        ({"held_out": ()}, "`held_out` has no batches", "at least one"),
        (
            {"train": DataLoader(TensorDataset(torch.ones(3)), batch_size=9, drop_last=True)},
            "`train` has no batches",
            "drop_last=True",
        ),
        ({"forward": 3}, "`forward` must be a function", "lambda batch"),
        (
            {"optimizer": torch.optim.SGD(MODEL.parameters())},
            "`optimizer` is an optimizer (SGD)",
            "lambda parameters: torch.optim.SGD",
        ),
        ({"optimizer": 0.1}, "`optimizer` must be a function", "torch.optim.AdamW"),
        (
            {"scheduler": torch.optim.lr_scheduler.StepLR(torch.optim.SGD(MODEL.parameters()), 2)},
            "`scheduler` is a schedule (StepLR)",
            "lr_scheduler.StepLR(optimizer",
        ),
        ({"scheduler": 3}, "`scheduler` must be a function", "lambda optimizer"),
        ({"scheduler_every": "batch"}, "`scheduler_every` is 'batch'", "update"),
    ],
)
def test_trainings_that_cannot(changes: dict[str, Any], text: str, hint: str) -> None:
    error = refused(lambda: built(**changes))
    assert "test_builder.py:" in error.message
    assert text in error.message
    assert hint in (error.hint or "")


def test_all_that_is_wrong_is_told_at_once() -> None:
    error = refused(lambda: built(model=None, train=[], scheduler_every="x"))
    assert "(3 problems)" in error.message.splitlines()[0]
    assert sum(line.startswith("  - ") for line in error.message.splitlines()) == 3


def test_something_else_is_returned(write: Write) -> None:
    write("def build(seed): pass\ndef number(seed): return 3\n")
    for name, text in (
        ("build", "nets.py:1 build: returned nothing"),
        ("number", "returned an int, not a Tr"),
    ):
        error = refused(training_of, find_builder(f"nets.py:{name}"), 0, {})
        assert text in error.message
        assert "return mtctl.Training(…)" in (error.hint or "")


def test_a_process_goes_on_with_the_version_that_its_command_began_with(write: Write) -> None:
    path = write("import beside\ndef build(seed): return beside.NUMBER, 1")
    beside = write("NUMBER = 1", "beside.py")
    name = f"{path}:build"
    files = files_of(name)
    assert files == [path, beside]
    with pinned(versions(files)):
        write("import beside\ndef build(seed): return beside.NUMBER, 2")
        assert find_builder(name).function(0) == (1, 1)
    assert find_builder(name).function(0) == (1, 2)


@pytest.mark.parametrize("changed", ["nets.py", "beside.py"])
def test_a_process_that_would_read_another_version_refuses(write: Write, changed: str) -> None:
    path = write("import beside\ndef build(seed): ...")
    beside = write("NUMBER = 1", "beside.py")
    known = versions([path, beside])
    write("raise SystemExit('this is run')", changed)
    with (
        pinned(known),
        pytest.raises(MtctlError, match=rf"{changed} has changed .*since this command started"),
    ):
        find_builder(f"{path}:build")


def test_a_module_that_is_imported_inside_of_the_function_is_one_of_its_files(write: Write) -> None:
    path = write("def build(seed):\n    import later_imported\n    return later_imported.NUMBER")
    write("NUMBER = 3", "later_imported.py")
    name = f"{path}:build"
    assert find_builder(name).function(0) == 3
    assert [file.name for file in files_of(name)] == ["nets.py", "later_imported.py"]


def test_files_of_a_module_by_name(write: Write, tmp_path: Path) -> None:
    write("from own_package import other\ndef build(seed): ...", "own_package/nets.py")
    write("", "own_package/other.py")
    write("", "own_package/__init__.py")
    found = files_of("own_package.nets:build")
    assert [file.relative_to(tmp_path).as_posix() for file in found] == [
        "own_package/nets.py",
        "own_package/__init__.py",
        "own_package/other.py",
    ]
