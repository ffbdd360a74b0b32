"""What a plugin of each kind must have before anything is done with it; what it does is checked by `oodbench check`."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

from oodbench.api import Dataset, Maker, Method, Metric
from oodbench.benchmark import Benchmark
from oodbench.columns import COLUMNS, FULL_SPECTRUM, SHIFTED_ACCURACY
from oodbench.suite import Suite

Kind = Literal["methods", "datasets", "benchmarks", "suites", "networks", "metrics", "layouts"]
KINDS: tuple[Kind, ...] = get_args(Kind)

FOLDER = "folder"
"""The data set plugin that serves every name that no other has, and the benchmark plugin for such images."""


def folded(name: str) -> str:
    """Return a name as names are compared: "My-Score" and "my_score" are one.

    >>> folded("My-Score")
    'my_score'
    """
    return name.lower().replace("-", "_")


def unfit(kind: Kind, name: str, thing: object) -> str:
    """Return why a thing cannot be used as a plugin of a kind, and what to change, or "" where it can."""
    return _UNFIT[kind](thing, name)


def kind_of(thing: object) -> Kind | None:
    """Return what a thing is meant to be, by its most telling attributes, or None where it is no plugin.

    A class with `fit` is a method, one with `locate` and `read` a data set, a `torch.nn.Module` with `features` a
    network; an object with `label` and `higher_is_better` is a metric, a function that is annotated to return a
    `Table` a layout. Abstract classes are bases of others.
    """
    kind: Kind | None = None
    if isinstance(thing, Benchmark):
        kind = "benchmarks"
    elif isinstance(thing, Suite):
        kind = "suites"
    elif isinstance(thing, type):
        if hasattr(thing, "fit"):
            kind = "methods"
        elif hasattr(thing, "locate") and hasattr(thing, "read"):
            kind = "datasets"
        elif hasattr(thing, "features") and _is_module(thing):
            kind = "networks"
    elif hasattr(thing, "label") and hasattr(thing, "higher_is_better"):
        kind = "metrics"
    elif inspect.isfunction(thing) and _returns_table(thing):
        kind = "layouts"
    return None if inspect.isabstract(thing) else kind


def _is_module(kind: type) -> bool:
    # Where nobody has imported PyTorch, nothing is one of its modules.
    torch = sys.modules.get("torch")
    return torch is not None and issubclass(kind, torch.nn.Module)


def _returns_table(function: Callable[..., object]) -> bool:
    annotation = inspect.get_annotations(function).get("return")
    # Written out or as a string; the class itself would bring all tables along.
    return getattr(annotation, "__name__", annotation) == "Table"


def _unfit_method(thing: object, _: str) -> str:
    if hasattr(thing, "objective") and not hasattr(thing, "networks"):
        return "it was written for contract 1 of plugins; name networks, a tuple of objectives, instead of objective"
    return _unfit_value(thing, Method) or _unfit_defaults(thing)


def _unfit_dataset(thing: object, name: str) -> str:
    return _unfit_value(thing, Dataset) or ("" if name == FOLDER else _unfit_defaults(thing))


def _unfit_value(thing: object, protocol: type) -> str:
    """Say what a class lacks to be a dataclass that fits a protocol."""
    if not isinstance(thing, type):
        return f"it is {thing!r}, and must be a class"
    if not dataclasses.is_dataclass(thing):
        return "it must be a dataclass: @dataclass(frozen=True, kw_only=True)"
    fields = {field.name for field in dataclasses.fields(thing)}
    lacking = [name for name in members(protocol) if name not in fields and not hasattr(thing, name)]
    return _lacks(lacking, protocol)


def members(protocol: type) -> list[str]:
    """Return the names of everything public that a protocol asks for, in order."""
    names = dict.fromkeys((*inspect.get_annotations(protocol), *vars(protocol)))
    return [name for name in names if not name.startswith("_")]


def _lacks(names: list[str], protocol: type) -> str:
    return f"it lacks {', '.join(names)}; see {protocol.__module__}.{protocol.__name__}" if names else ""


def _unfit_defaults(thing: Any) -> str:
    try:
        thing()
    except Exception as error:  # noqa: BLE001  # foreign code
        return f"it cannot be made with its defaults ({type(error).__name__}: {error}); mend them"
    return ""


def _unfit_benchmark(thing: object, name: str) -> str:

    if name == FOLDER:
        return _lacks([word for word in members(Maker) if not hasattr(thing, word)], Maker)
    if not isinstance(thing, Benchmark):
        return f"it is {thing!r}, not a Benchmark"
    if folded(thing.name) != folded(name):
        return f"it calls itself {thing.name!r}; give the Benchmark and its entry point one name"
    return ""


def _unfit_suite(thing: object, name: str) -> str:
    if not isinstance(thing, Suite):
        return f"it is {thing!r}, not a Suite"
    if folded(thing.name) != folded(name):
        return f"it calls itself {thing.name!r}; give the Suite and its entry point one name"
    return ""


def _unfit_network(thing: object, _: str) -> str:
    return "" if callable(thing) else f"it is {thing!r}, and must be a class or function that makes a network"


def _unfit_metric(thing: object, name: str) -> str:
    from oodbench.metrics import METRICS, SAMPLE_METRICS

    if name in METRICS or name in SAMPLE_METRICS:
        return "the name is taken by a metric of oodbench; choose another one"
    taken = name in COLUMNS or name == SHIFTED_ACCURACY or name.startswith(FULL_SPECTRUM)
    if taken or name.endswith(("_version", "_seconds")):
        return "result rows have another column of this name; choose another one"
    if not callable(thing) or isinstance(thing, type):
        return f"it is {thing!r}, and must be a function of scores_id and scores_ood, or an object to be called so"
    return _lacks([name for name in members(Metric) if not hasattr(thing, name)], Metric)


def _unfit_layout(thing: object, _: str) -> str:
    return "" if callable(thing) else f"it is {thing!r}, and must be a function from result rows to a Table"


_UNFIT: Mapping[Kind, Callable[[object, str], str]] = {
    "methods": _unfit_method,
    "datasets": _unfit_dataset,
    "benchmarks": _unfit_benchmark,
    "suites": _unfit_suite,
    "networks": _unfit_network,
    "metrics": _unfit_metric,
    "layouts": _unfit_layout,
}
