"""Seconds of all metrics of two sets of scores: ours, the peers', and one sort of the pooled scores for scale.

Ours are all columns of `oodbench.engine.measures.all_metrics`; scikit-learn computes AUROC, both average precisions and
the ROC curve, torchmetrics the same, pytorch-ood what its `OODMetrics` reports. The code published with CC-AG walks
over 200,000 thresholds in five loops; some of its thresholds are timed here, and the time of all is extrapolated.
Rounds alternate; medians are printed, with the ratio to ours.

Then the processor's seconds of confidence intervals by the bootstrap, of all metrics of scores and of all that need
classes or probabilities as well, for several methods on the same images.

    python benchmarks/metrics.py --threads 1
    python benchmarks/metrics.py --rounds 0 --methods 20 --resamples 1000
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import torch
from _scene import machine, threads

from oodbench.engine.measures import all_metrics
from oodbench.metrics import METRICS, SAMPLE_METRICS, Samples, intervals_of

Metrics = Callable[[np.ndarray, np.ndarray], object]

SIZES = {"10,000 against 10,000": (10_000, 10_000), "100,000 against 1,000,000": (100_000, 1_000_000)}
CCAG_THRESHOLDS, CCAG_LOOPS = 200_000, 5


def one_sort(scores_id: np.ndarray, scores_ood: np.ndarray) -> object:
    """Sort the pooled scores, and remember where each came from; no metric can do without."""
    return np.argsort(np.concatenate([scores_id, scores_ood]))


def values_sort(scores_id: np.ndarray, scores_ood: np.ndarray) -> object:
    """Sort the pooled scores, and forget where each came from."""
    return np.sort(np.concatenate([scores_id, scores_ood]))


def pytorch_ood(scores_id: np.ndarray, scores_ood: np.ndarray) -> object:
    """Everything that OODMetrics reports."""
    from pytorch_ood.metrics import OODMetrics

    metrics = OODMetrics()
    metrics.update(torch.from_numpy(-scores_id), torch.zeros(len(scores_id), dtype=torch.int64))
    metrics.update(torch.from_numpy(-scores_ood), torch.full((len(scores_ood),), -1))
    return metrics.compute()


def scikit_learn(scores_id: np.ndarray, scores_ood: np.ndarray) -> object:
    """AUROC, AUPR-in, AUPR-out and the FPR at 95% TPR."""
    from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

    is_id = np.r_[np.ones(len(scores_id), dtype=bool), np.zeros(len(scores_ood), dtype=bool)]
    scores = np.r_[scores_id, scores_ood]
    fpr, tpr, _ = roc_curve(is_id, scores)
    return (
        roc_auc_score(is_id, scores),
        average_precision_score(is_id, scores),
        average_precision_score(~is_id, -scores),
        fpr[np.searchsorted(tpr, 0.95)],
    )


def torchmetrics(scores_id: np.ndarray, scores_ood: np.ndarray) -> object:
    """AUROC, AUPR-in, AUPR-out and the ROC curve; the scores are in [0, 1], which it needs to be right."""
    from torchmetrics.functional.classification import binary_auroc, binary_average_precision, binary_roc

    target = torch.cat([torch.ones(len(scores_id), dtype=torch.int64), torch.zeros(len(scores_ood), dtype=torch.int64)])
    scores = torch.from_numpy(np.concatenate([scores_id, scores_ood]))
    return (
        binary_auroc(scores, target),
        binary_average_precision(scores, target),
        binary_average_precision(1 - scores, 1 - target),
        binary_roc(scores, target),
    )


def ccag(scores_id: np.ndarray, scores_ood: np.ndarray, n_thresholds: int) -> float:
    """Return the seconds that five loops over 200,000 thresholds would take, from a few of them."""
    started = time.perf_counter()
    for threshold in np.linspace(0, 1, n_thresholds):
        np.sum(np.sum(scores_id >= threshold)) / len(scores_id)
        np.sum(np.sum(scores_ood >= threshold)) / len(scores_ood)
    return (time.perf_counter() - started) / n_thresholds * CCAG_THRESHOLDS * CCAG_LOOPS


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7, help="of metrics; 0 for intervals alone")
    parser.add_argument("--methods", type=int, default=20, help="that intervals are computed of")
    parser.add_argument("--resamples", type=int, default=1000, help="of the bootstrap")
    parser.add_argument("--shrink", type=int, default=1, help="divide all sizes by this, for a quick look")
    given = parser.parse_args(arguments)
    with threads(given.threads), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        print(machine(torch.device("cpu")))
        for title, sizes in SIZES.items() if given.rounds else ():
            compare(title, *(size // given.shrink for size in sizes), rounds=given.rounds)
        intervals(10_000 // given.shrink, given.methods, given.resamples)
        print(machine(torch.device("cpu")))


def compare(title: str, n_id: int, n_ood: int, *, rounds: int) -> None:
    """Print the times of all for one size."""
    rng = np.random.default_rng(0)
    # In [0, 1], all different: ties only make less work.
    scores_id, scores_ood = rng.beta(4, 2, n_id), rng.beta(2, 3, n_ood)
    contestants: dict[str, Metrics] = {
        "oodbench, all metrics": all_metrics,
        "numpy, argsort": one_sort,
        "numpy, sort": values_sort,
        "pytorch-ood": pytorch_ood,
        "torchmetrics": torchmetrics,
        "scikit-learn": scikit_learn,
    }
    wall: dict[str, list[float]] = {name: [] for name in contestants}
    cpu: dict[str, list[float]] = {name: [] for name in contestants}
    for i in range(rounds + 1):
        for name, metrics in contestants.items():
            started = time.perf_counter(), time.process_time()
            metrics(scores_id, scores_ood)
            # The first round warms up.
            if i:
                wall[name].append(time.perf_counter() - started[0])
                cpu[name].append(time.process_time() - started[1])
    print(f"\n{title}, medians of {rounds} rounds")
    print(f"{'':36}{'wall ms':>12}{'CPU ms':>12}{'wall, of ours':>15}{'CPU, of ours':>14}")
    base_wall, base_cpu = (statistics.median(taken["oodbench, all metrics"]) for taken in (wall, cpu))

    def line(name: str, seconds_wall: float, seconds_cpu: float) -> None:
        print(
            f"{name:36}{1e3 * seconds_wall:12.2f}{1e3 * seconds_cpu:12.2f}"
            f"{seconds_wall / base_wall:14.2f}x{seconds_cpu / base_cpu:13.2f}x"
        )

    for name in contestants:
        line(name, statistics.median(wall[name]), statistics.median(cpu[name]))
    loops = ccag(scores_id, scores_ood, min(1000, max(20, 20_000_000 // (n_id + n_ood))))
    print(f"{'loops of CC-AG, extrapolated':36}{1e3 * loops:12.0f}{'':12}{loops / base_wall:14.0f}x")


def intervals(n_images: int, n_methods: int, n_resamples: int) -> None:
    """Print the seconds of intervals of all metrics, of sets of equal size with ten known classes."""
    rng = np.random.default_rng(0)
    true = rng.integers(10, size=n_images)
    samples = [
        Samples(
            scores_id=rng.normal(1, 1, n_images),
            scores_ood=rng.normal(0, 1, n_images),
            n_classes=10,
            predicted_id=np.where(rng.random(n_images) < 0.9, true, rng.integers(10, size=n_images)),
            true_id=true,
            predicted_ood=rng.integers(10, size=n_images),
            probabilities_id=rng.dirichlet(np.ones(10), n_images),
        )
        for _ in range(n_methods)
    ]
    print(f"\nintervals: {n_methods} methods, {n_images:,} against {n_images:,}, {n_resamples:,} resamples")
    metrics = {
        "all metrics of scores": [*METRICS],
        "all metrics over samples": [*SAMPLE_METRICS],
        "those of table2": ["fpr_at_95tpr", "detection_error", "auroc", "aupr_in", "aupr_out"],
        "OSCR alone": ["oscr"],
    }
    for title, names in metrics.items():
        started = time.perf_counter(), time.process_time()
        intervals_of(samples, names, n_resamples=n_resamples)
        wall, cpu = time.perf_counter() - started[0], time.process_time() - started[1]
        print(f"{f'{title} ({len(names)})':36}{wall:10.1f} wall s{cpu:10.1f} CPU s")


if __name__ == "__main__":
    main()
