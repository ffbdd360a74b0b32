"""Writes the method table into methods.md: what the registry knows of each method, and how it did on `digits`.

    oodbench run --seeds 3 --results-dir build/methods     # or only the new one: --method my_score
    python docs/method_table.py build/methods              # takes those results into methods.csv
    python docs/method_table.py                            # after a change of a title, a source, …

A test fails where the page and the registry say different things.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import sys
from math import isnan
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

import oodbench
from oodbench.engine.request import request
from oodbench.hashing.values import plain
from oodbench.plugins import registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oodbench.engine.request import ResolvedMethod

PAGE = Path(__file__).with_name("methods.md")
RESULTS = Path(__file__).with_name("methods.csv")
BENCHMARK = "digits"
NOVELTY = "digits 5 9 1"
BEGIN, END = "<!-- written by method_table.py -->", "<!-- end -->"

_COLUMNS = ("method", "seed", "accuracy", "auroc", "fpr_at_95tpr", "auroc_novelty", "seen", "settings")
_SEES = {
    "id_validation": "held-out ID images",
    "ood_validation": "validation OOD images",
    "seen_ood": "seen OOD images",
    "ood_test": "the OOD test sets",
}


def choices() -> list[ResolvedMethod]:
    """Return the methods that come with oodbench as the benchmark runs them, in the order of a run."""
    methods = request([BENCHMARK], ["all"]).methods[BENCHMARK]
    return [choice for choice in methods if registry.find("methods", choice.name).built_in]


def take(results_dir: Path) -> None:
    """Put stored results into methods.csv, in the place of older ones of the same methods.

    A line is a method and a seed; `auroc` and `fpr_at_95tpr` are means over the OOD sets, all numbers fractions.
    """
    frame = oodbench.load_results(results_dir)
    # Other hyper-parameters make another variant, another training makes another recipe.
    as_default = (frame["variant"] == frame["method"]) & (frame["recipe"] == registry.benchmark(BENCHMARK).recipe)
    frame = frame[(frame["in_dist"] == BENCHMARK) & as_default]
    lines = {(row["method"], int(row["seed"])): row for row in read()}
    lines = {key: row for key, row in lines.items() if key[0] not in set(frame["method"])}
    for _, rows in frame.groupby(["method", "seed"]):
        method, seed = str(rows["method"].iloc[0]), int(rows["seed"].iloc[0])
        lines[method, seed] = {
            "method": method,
            "seed": seed,
            "accuracy": round(rows["accuracy"].iloc[0], 6),
            "auroc": round(rows["auroc"].mean(), 6),
            "fpr_at_95tpr": round(rows["fpr_at_95tpr"].mean(), 6),
            "auroc_novelty": round(rows.loc[rows["out_dist"] == NOVELTY, "auroc"].item(), 6),
            "seen": int(rows["seen"].any()),
            "settings": rows["settings"].iloc[0],
        }
    with RESULTS.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines[key] for key in sorted(lines))


def read() -> list[dict[str, Any]]:
    """Return the lines of methods.csv."""
    if not RESULTS.exists():
        return []
    with RESULTS.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def page() -> str:
    """Return methods.md with its tables written anew.

    Raises:
        SystemExit: a method has no results, or other hyper-parameters than its results were made with.
    """
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n\n{tables()}\n{END}{after}"


def tables() -> str:
    """Return the two tables in Markdown."""
    results: dict[str, list[dict[str, Any]]] = {}
    for row in read():
        results.setdefault(row["method"], []).append(row)
    known = choices()
    for choice in known:
        _check(choice, results.get(choice.name, []))
    about = [
        (f"`{choice.name}`", choice.method.title, choice.method.source, _defaults(type(choice.method)))
        for choice in known
    ]
    measured = [_result(choice, results[choice.name]) for choice in known]
    return (
        _table("Method|What it is|Source|Hyper-parameters and their defaults", "llll", about)
        + f"\n## Results on `{BENCHMARK}`\n\n"
        + _table(
            "Method|Trained with|May see besides ID training images|ID accuracy|AUROC ↑|FPR at 95% TPR ↓|"
            "AUROC on novelty ↑",
            "lllrrrr",
            measured,
        )
    )


def _check(choice: ResolvedMethod, rows: list[dict[str, Any]]) -> None:
    # By way of JSON, as records hold them.
    settings = json.loads(json.dumps(plain(choice.method)))
    if any(json.loads(row["settings"]) != settings for row in rows) or not rows:
        raise SystemExit(
            f"methods.csv has no results of {choice.name} as it is by default; make them and take them over:\n"
            f"  oodbench run --seeds 3 --results-dir build/methods --method {choice.name}\n"
            "  python docs/method_table.py build/methods"
        )


def _result(choice: ResolvedMethod, rows: list[dict[str, Any]]) -> tuple[str, ...]:
    method = choice.method
    sees = " and ".join(_SEES[word] for word in sorted(method.sees)) or "nothing"
    star = "\\*" if rows[0]["seen"] == "1" else ""
    accuracy, auroc, fpr, novelty = (
        _percent(rows, name) for name in ("accuracy", "auroc", "fpr_at_95tpr", "auroc_novelty")
    )
    objective = method.networks[0]
    trained_with = objective.name + (", seen OOD images" if objective.uses_seen_ood else "")
    return f"`{choice.name}`", trained_with, sees, accuracy, auroc + star, fpr + star, novelty


def _percent(rows: list[dict[str, Any]], name: str) -> str:
    values = [100 * float(row[name]) for row in rows]
    if any(map(isnan, values)):
        return "–"
    return f"{mean(values):.1f} ± {stdev(values):.1f}" if len(values) > 1 else f"{values[0]:.1f}"


def _defaults(kind: Any) -> str:
    fields = (f"`{field.name}={_plain(field.default)}`" for field in dataclasses.fields(kind))
    return ", ".join(fields) or "none"


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _table(header: str, align: str, rows: Sequence[Sequence[str]]) -> str:
    rules = ["---:" if side == "r" else ":---" for side in align]
    lines = (header.split("|"), rules, *rows)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        take(Path(sys.argv[1]))
    PAGE.write_text(page(), encoding="utf-8")
