"""What a run takes of the machine, in a process of its own: settings like these last."""

from __future__ import annotations

import json
import subprocess
import sys

_SCRIPT = """
import json, numpy, torch
from threadpoolctl import threadpool_info
from mtctl.engine.processor import use_one_thread
use_one_thread()
numpy.linalg.svd(numpy.random.default_rng(0).normal(size=(40, 40)))
blas = [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]
print(json.dumps({"torch": torch.get_num_threads(), "blas": blas}))
"""


def test_one_thread_for_torch_and_for_numpy() -> None:
    done = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["torch"] == 1
    assert set(found["blas"]) == {1}
