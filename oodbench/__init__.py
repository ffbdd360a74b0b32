"""oodbench compares out-of-distribution detection methods for image classifiers.

>>> import oodbench
>>> frame = oodbench.run("digits", ["msp", "odm"], seeds=3)  # doctest: +SKIP

Names are imported when they are first used, so that `import oodbench` and the command line start at once.
"""

from __future__ import annotations

# Type checkers know the name. Nothing is imported yet: a program that is stopped in its first moments says so.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

    # For type checkers and editors: the names below are found by __getattr__.
    from .api import Dataset, FitInputs, Method, Network, Objective
    from .batch import Batch
    from .benchmark import Benchmark, OodSet, Part, Recipe
    from .comparison import compare
    from .detector import Detection, Detector
    from .engine.python import evaluate, load_results, run
    from .errors import OodbenchError
    from .images import Conversion, ImageSet
    from .objectives import CrossEntropy, LossObjective, SeenOodObjective
    from .posthoc import LogitMethod
    from .report import make_report
    from .suite import Suite
    from .tables import make_table
    from .training.config import TrainConfig

    __version__: str

_HOME = {
    "Batch": "batch",
    "Benchmark": "benchmark",
    "Conversion": "images",
    "CrossEntropy": "objectives",
    "Dataset": "api",
    "Detection": "detector",
    "Detector": "detector",
    "FitInputs": "api",
    "ImageSet": "images",
    "LogitMethod": "posthoc",
    "LossObjective": "objectives",
    "Method": "api",
    "Network": "api",
    "Objective": "api",
    "OodSet": "benchmark",
    "OodbenchError": "errors",
    "Part": "benchmark",
    "Recipe": "benchmark",
    "SeenOodObjective": "objectives",
    "Suite": "suite",
    "TrainConfig": "training.config",
    "compare": "comparison",
    "evaluate": "engine.python",
    "load_results": "engine.python",
    "make_report": "report",
    "make_table": "tables",
    "run": "engine.python",
}

__all__ = [
    "Batch",
    "Benchmark",
    "Conversion",
    "CrossEntropy",
    "Dataset",
    "Detection",
    "Detector",
    "FitInputs",
    "ImageSet",
    "LogitMethod",
    "LossObjective",
    "Method",
    "Network",
    "Objective",
    "OodSet",
    "OodbenchError",
    "Part",
    "Recipe",
    "SeenOodObjective",
    "Suite",
    "TrainConfig",
    "__version__",
    "compare",
    "evaluate",
    "load_results",
    "make_report",
    "make_table",
    "run",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "__version__":
        from importlib.metadata import version

        return version("oodbench")
    if name not in _HOME:
        raise AttributeError(f"module 'oodbench' has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
