"""Whether a paper's claims hold in stored results, with the numbers that say so."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from oodbench.claims import Claim
from oodbench.statistics.holm import holm
from oodbench.store.records import Record, Scores

from .comparing import RESAMPLES
from .measured import Pair, find_metric, measure

Answer = Literal["holds", "does not hold", "no evidence", "not tested"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What results say of a claim.

    Attributes:
        claim: that was tested.
        answer: "holds" (on every set, beyond noise where a test is made), "does not hold" (on a set the opposite is
            seen), "no evidence" (neither), or "not tested" (results are missing).
        evidence: the numbers, a line each.
    """

    claim: Claim
    answer: Answer
    evidence: tuple[str, ...]


Results = Mapping[str, Sequence[tuple[Record, Scores]]]
"""By variant, such as "odm (seen=background)": a record for each seed with its scores."""


def judge(claim: Claim, results: Results, *, alpha: float = 0.05) -> Verdict:
    """Return whether a claim holds in results of its benchmark.

    Args:
        claim: to be tested.
        results: of one benchmark.
        alpha: level of the tests, after Holm's correction for the sets of the claim.
    """
    gone = [name for name in (claim.method, claim.other) if name and not results.get(name)]
    if gone:
        return Verdict(claim=claim, answer="not tested", evidence=(f"no results of {' and '.join(gone)}",))
    if claim.kind == "lower accuracy":
        return _accuracies(claim, results)
    sets = claim.sets or tuple(
        dict.fromkeys(row.out_dist for record, _ in results[claim.method] for row in record.rows)
    )
    there = [name for name in sets if _values(claim, results[claim.method], name)]
    if lacking := [name for name in sets if name not in there]:
        return Verdict(claim=claim, answer="not tested", evidence=(f"no results on {', '.join(lacking)}",))
    return _better(claim, results, there, alpha) if claim.kind == "better" else _limited(claim, results, there)


def _accuracies(claim: Claim, results: Results) -> Verdict:
    first, second = (
        [record.accuracy for record, _ in results[name] if record.accuracy is not None]
        for name in (claim.method, claim.other)
    )
    if not first or not second:
        return Verdict(claim=claim, answer="not tested", evidence=("a method does not classify",))
    line = f"ID accuracy {_listed(first)} against {_listed(second)}"
    answer: Answer = "no evidence"
    if max(first) < min(second):
        answer = "holds"
    elif min(first) > max(second):
        answer = "does not hold"
    return Verdict(claim=claim, answer=answer, evidence=(line,))


def _limited(claim: Claim, results: Results, sets: Sequence[str]) -> Verdict:
    means = {name: _mean(_values(claim, results[claim.method], name)) for name in sets}
    kept = [value >= claim.value if claim.kind == "at least" else value <= claim.value for value in means.values()]
    lines = tuple(f"{name}: {100 * value:.2f}" for name, value in means.items())
    return Verdict(claim=claim, answer="holds" if all(kept) else "does not hold", evidence=lines)


def _better(claim: Claim, results: Results, sets: Sequence[str], alpha: float) -> Verdict:
    higher = find_metric(claim.metric).higher_is_better
    found = {name: _pairs(claim, results, name) for name in sets}
    if lacking := [name for name, pairs in found.items() if not pairs]:
        word = f"{claim.other} and {claim.method} share no seed and images on {', '.join(lacking)}"
        return Verdict(claim=claim, answer="not tested", evidence=(word,))
    differences = {
        name: measure(claim.metric, pairs, level=1 - alpha, resamples=RESAMPLES)[0] for name, pairs in found.items()
    }
    corrected = holm([difference.p for difference in differences.values()])
    lines, signs = [], []
    for (name, difference), p in zip(differences.items(), corrected, strict=True):
        up = difference.estimate > 0 if higher else difference.estimate < 0
        signs.append(0 if math.isnan(p) or p >= alpha else 1 if up else -1)
        word = {1: "better", -1: "worse", 0: "within noise"}[signs[-1]]
        said = "" if math.isnan(difference.low) else f" [{100 * difference.low:+.2f}, {100 * difference.high:+.2f}]"
        lines.append(
            f"{name}: {100 * difference.second:.2f} against {100 * difference.first:.2f}, difference "
            f"{100 * difference.estimate:+.2f}{said}, {word} ({difference.test or 'no test'})"
        )
    answer: Answer = "does not hold" if -1 in signs else "holds" if all(sign == 1 for sign in signs) else "no evidence"
    return Verdict(claim=claim, answer=answer, evidence=tuple(lines))


def _pairs(claim: Claim, results: Results, out_dist: str) -> list[Pair]:
    """Return what both methods have of a set with one seed and on the same images; the second is the claim's method."""
    of_other = {record.seed: (record, scores) for record, scores in results[claim.other]}
    pairs = []
    for record, scores in results[claim.method]:
        if record.seed not in of_other:
            continue
        other, other_scores = of_other[record.seed]
        rows = [next((row for row in one.rows if row.out_dist == out_dist), None) for one in (other, record)]
        images = [
            None if row is None else (one.fingerprints.get("id_test") or "", row.fingerprint)
            for row, one in zip(rows, (other, record), strict=True)
        ]
        if rows[0] is None or rows[1] is None or images[0] is None or images[0] != images[1]:
            continue
        pairs.append(
            Pair(
                seed=record.seed,
                images=images[0],
                first=rows[0].metrics.get(claim.metric, math.nan),
                second=rows[1].metrics.get(claim.metric, math.nan),
                scores=((other_scores.id, other_scores.ood[out_dist]), (scores.id, scores.ood[out_dist])),
            )
        )
    return pairs


def _values(claim: Claim, results: Sequence[tuple[Record, Scores]], out_dist: str) -> list[float]:
    rows = (row for record, _ in results for row in record.rows if row.out_dist == out_dist)
    return [row.metrics[claim.metric] for row in rows if claim.metric in row.metrics]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _listed(values: Sequence[float]) -> str:
    spread = f" ({100 * min(values):.2f} to {100 * max(values):.2f})" if len(values) > 1 else ""
    return f"{100 * _mean(values):.2f}{spread}"
