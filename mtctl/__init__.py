"""mtctl: find out why one task of a multi-task model does not learn, train the cure, prove the difference.

In a training loop of your own:

    balancer = mtctl.Balancer("gradnorm")
    monitor = mtctl.Monitor("results/mine", optimizer=optimizer)
    …
    optimizer.zero_grad()
    mtctl.balance({"depth": depth_loss, "normals": normals_loss}, balancer=balancer, monitor=monitor)
    optimizer.step()

Of recipes, and of models that a function of yours builds, what the verbs do:

    runs = mtctl.train("depth_normals.py:build", seeds=3)
    mtctl.diagnose("depth_normals.py:build", epochs=5)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mtctl.api.comparison import compare
    from mtctl.api.diagnosis import diagnose
    from mtctl.api.evaluation import evaluate
    from mtctl.api.training import train
    from mtctl.balancing.errors import BalanceError
    from mtctl.errors import MtctlError
    from mtctl.library.balance import balance
    from mtctl.library.balancer import Balancer
    from mtctl.library.ranks import Ranks
    from mtctl.library.report import Report
    from mtctl.monitoring.faults import MonitorWarning
    from mtctl.monitoring.monitor import Monitor
    from mtctl.problems.python.training import Task, Training

__version__ = "0.1.0"
__all__ = [
    "BalanceError",
    "Balancer",
    "Monitor",
    "MonitorWarning",
    "MtctlError",
    "Ranks",
    "Report",
    "Task",
    "Training",
    "__version__",
    "balance",
    "compare",
    "diagnose",
    "evaluate",
    "train",
]

#: Where each name is: imported when it is used, because torch takes seconds that `mtctl --help` has not.
_HOMES: Final = {
    "BalanceError": "mtctl.balancing.errors",
    "Balancer": "mtctl.library.balancer",
    "Monitor": "mtctl.monitoring.monitor",
    "MonitorWarning": "mtctl.monitoring.faults",
    "MtctlError": "mtctl.errors",
    "Ranks": "mtctl.library.ranks",
    "Report": "mtctl.library.report",
    "Task": "mtctl.problems.python.training",
    "Training": "mtctl.problems.python.training",
    "balance": "mtctl.library.balance",
    "compare": "mtctl.api.comparison",
    "diagnose": "mtctl.api.diagnosis",
    "evaluate": "mtctl.api.evaluation",
    "train": "mtctl.api.training",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
