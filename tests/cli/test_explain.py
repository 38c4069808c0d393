from __future__ import annotations

import json
import subprocess
import sys

import pytest

from mtctl.balancing.registry import KINDS
from tests.cli.conftest import Command


def test_a_method(mtctl: Command) -> None:
    code, out, err = mtctl("explain", "pcgrad")
    assert (code, err) == (0, "")
    assert out.startswith("pcgrad: Projects conflicting gradients onto each other's normal plane")
    for word in ("Helps:", "Fails:", "Costs:", "Acts on:", "Source:", "reduction: sum"):
        assert word in out


def test_a_method_as_json(mtctl: Command) -> None:
    code, out, _ = mtctl("explain", "gradnorm", "--json")
    document = json.loads(out)
    assert (code, document["schema"]) == (0, 1)
    method = document["method"]
    assert method["kind"] == "gradnorm"
    assert method["settings"][0]["name"] == "alpha"
    assert "1711.02257" in method["source"]


@pytest.mark.parametrize("arguments", [("explain",), ("recipes", "list", "--methods")])
def test_all_methods(mtctl: Command, arguments: tuple[str, ...]) -> None:
    code, out, err = mtctl(*arguments)
    assert (code, err) == (0, "")
    listed = [line.split()[0] for line in out.splitlines() if line and line.split()[0] in KINDS]
    assert sorted(listed) == sorted(KINDS)
    code, out, _ = mtctl(*arguments, "--json")
    assert [row["kind"] for row in json.loads(out)["methods"]] == listed


@pytest.mark.parametrize(
    ("word", "said", "hint"),
    [
        ("gradnrm", "there is no balancing method 'gradnrm'", "did you mean `gradnorm`? choose from: equal"),
        (
            "flat-task",
            "is a finding of a diagnosis, not a balancing method",
            "`mtctl diagnose --explain flat-task`",
        ),
    ],
)
def test_what_is_no_method(mtctl: Command, word: str, said: str, hint: str) -> None:
    code, out, err = mtctl("explain", word)
    assert (code, out) == (2, "")
    assert said in err
    assert hint in err


def test_the_list_and_a_mistake_need_no_torch() -> None:
    code = """
import sys
from mtctl.cli.app import main
sys.argv = ["mtctl", *sys.argv[1:]]
try:
    main()
except SystemExit:
    sys.exit("torch" in sys.modules)
"""
    for arguments in (["explain"], ["explain", "nope"]):
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, check=False)
        assert done.returncode == 0, arguments
