"""Intervals over test images in rows and tables: of every metric that a table shows, and words where there is none."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from oodbench.comparison import intervals
from oodbench.comparison.intervals import add_intervals
from oodbench.metrics import (
    SAMPLE_METRICS,
    Samples,
    bootstrap_interval,
    delong_interval,
    intervals_of,
    oscr,
    percentile_interval,
    resampled_by_loop,
)
from oodbench.plugins import registry
from oodbench.store.rows import to_frame
from oodbench.store.samples import samples_of
from oodbench.tables import interval_metrics, layout_table
from oodbench.tables.columns import metric_columns
from oodbench.tables.model import plain_text

from .made import stored_in


def cell(table, row, title):
    return plain_text(table.rows[row][table.header.index(title)])


def with_intervals(stored, layout, metrics=()):
    frame = to_frame(stored[1])
    return layout_table(add_intervals(frame, *stored, interval_metrics(frame, layout, metrics)), layout, metrics)


def test_intervals_of_several_methods_are_those_of_each():
    random = np.random.default_rng(0)
    samples = [
        Samples(
            scores_id=random.normal(1, 1, 30),
            scores_ood=random.normal(0, 1, 20),
            n_classes=2,
            predicted_id=np.zeros(30, dtype=int),
            true_id=np.arange(30) % 2,
        )
        for _ in range(2)
    ]
    found = intervals_of(samples, ["oscr", "auroc", "fpr_at_95tpr"], n_resamples=50, seed=1, confidence=0.9)
    scores = samples[1].scores_id, samples[1].scores_ood

    assert found[1]["auroc"] == delong_interval(*scores, confidence=0.9)
    assert found[1]["fpr_at_95tpr"] == bootstrap_interval(
        *scores, metric="fpr_at_95tpr", n_resamples=50, seed=1, confidence=0.9
    )
    by_loop = resampled_by_loop(oscr, samples[0], n_resamples=50, seed=1)
    expected = percentile_interval(oscr(samples[0]), by_loop, confidence=0.9)
    assert dataclasses.astuple(found[0]["oscr"]) == pytest.approx(dataclasses.astuple(expected), rel=1e-12)


def test_rows_have_intervals_of_all_built_in_metrics_over_samples(tmp_path):
    store, records = stored_in(tmp_path)
    frame = add_intervals(to_frame(records), store, records)
    of_first = intervals_of([samples_of(records[0], store.scores(records[0]), "near")], [*SAMPLE_METRICS])[0]
    row = frame[frame["key"] == records[0].key].iloc[0]

    for name, interval in of_first.items():
        assert (row[f"interval_low_{name}"], row[f"interval_high_{name}"]) == (interval.low, interval.high), name
        assert row[f"interval_low_{name}"] <= row[name] <= row[f"interval_high_{name}"], name
    assert {"ece", "brier", "nll"} < {*of_first}
    assert metric_columns(frame) == metric_columns(to_frame(records))


def test_how_many_rows_are_resampled_together_does_not_count(tmp_path, monkeypatch):
    store, records = stored_in(tmp_path, sets={"near": "novelty", "far": "anomaly"})
    frame = add_intervals(to_frame(records), store, records, ["oscr", "auroc"])
    monkeypatch.setattr(intervals, "_TOGETHER", 3)

    assert add_intervals(to_frame(records), store, records, ["oscr", "auroc"]).equals(frame)
    assert frame["interval_low_oscr"].notna().all()


def test_only_what_is_asked_for_is_computed(tmp_path, monkeypatch):
    stored = stored_in(tmp_path)
    asked = []
    monkeypatch.setattr(
        intervals, "intervals_of", lambda samples, metrics: asked.append(metrics) or [{}] * len(samples)
    )

    for layout, metrics in (
        ("table2", ["oscr"]),
        ("matrix", ["oscr"]),
        ("survey3", []),
        ("suite", []),
        ("openood", []),
    ):
        frame = to_frame(stored[1])
        add_intervals(frame, *stored, interval_metrics(frame, layout, metrics))

    assert asked == [
        ("fpr_at_95tpr", "detection_error", "auroc", "aupr_in", "aupr_out", "oscr"),
        ("auroc",),
        ("fpr_at_95tpr_ood_positive", "auroc", "aupr_out_one_in_six"),
    ]


def test_a_table_shows_the_interval_of_a_metric_over_samples_that_is_asked_for(tmp_path):
    store, records = stored_in(tmp_path)
    table = with_intervals((store, records), "table2", ["oscr"])
    samples = samples_of(records[1], store.scores(records[1]), "near")
    interval = intervals_of([samples], ["oscr"])[0]["oscr"]

    assert records[1].method == "odm"
    row = next(i for i in range(2) if cell(table, i, "Method") == "odm")
    value, low, high = (f"{100 * number:.2f}" for number in (interval.value, interval.low, interval.high))
    assert cell(table, row, "OSCR ↑").removesuffix(" ≈") == f"{value} [{low}, {high}]"
    assert (
        "in percent; [95% interval over test images: of the AUROC by DeLong, of others by the bootstrap], one seed."
        in table.caption
    )


def test_the_caption_names_metrics_that_have_none(tmp_path):
    table = with_intervals(stored_in(tmp_path, certain=False, nll=0.5, ece=0.1), "table2", ["nll", "oscr", "ece"])

    assert "by the bootstrap], none of NLL and ECE, one seed." in table.caption
    assert cell(table, 0, "NLL ↓") == "0.5"


def test_the_caption_names_metrics_that_not_all_results_have_an_interval_of(tmp_path):
    store, records = stored_in(tmp_path)
    frame = add_intervals(to_frame(records), store, records)
    frame.loc[0, ["interval_low_oscr", "interval_high_oscr"]] = np.nan

    assert "by the bootstrap], not in all results of OSCR, one seed." in layout_table(frame, "table2", ["oscr"]).caption


def test_results_of_a_single_image_have_no_intervals_and_the_table_says_so(tmp_path):
    store, records = stored_in(tmp_path, n=1)
    table = with_intervals((store, records), "table2")

    assert "no intervals over test images, one seed." in table.caption
    assert "[" not in "".join(plain_text(entry) for row in table.rows for entry in row)


def test_accuracies_keep_their_deviation_over_seeds_and_the_caption_says_so(tmp_path):
    caption = with_intervals(stored_in(tmp_path, seeds=2), "table1").caption

    assert "values and ends are means over 2 seeds, ± of accuracies the sample standard deviation over them." in caption


@pytest.mark.parametrize("layout", ["matrix", "survey3", "survey4", "survey6"])
def test_captions_say_that_means_over_sets_have_none(tmp_path, layout):
    stored = stored_in(tmp_path, sets={"near": "novelty", "far": "anomaly"})

    assert with_intervals(stored, layout).caption.endswith(" Means over sets have no interval over test images.")
    assert "no interval" not in layout_table(to_frame(stored[1]), layout).caption


@pytest.mark.parametrize("layout", ["skip1", "skip2", "table1"])
def test_layouts_of_single_sets_have_an_interval_in_each_cell(tmp_path, layout):
    table = with_intervals(stored_in(tmp_path), layout, ["macro_f"])

    assert all(plain_text(entry).count("[") == 2 for entry in table.rows[0][3:])
    assert "no interval" not in table.caption


def test_a_suite_says_that_its_means_have_none(tmp_path):
    store, records = stored_in(tmp_path)
    records = [dataclasses.replace(record, suite="both") for record in records]
    frame = to_frame(records)
    asked = add_intervals(frame, store, records, interval_metrics(frame, "suite"))

    assert layout_table(asked, "suite").caption.endswith(" Means over members have no interval over test images.")
    assert "interval" not in layout_table(frame, "suite").caption


class Half:
    """A metric of a plugin: the share of ID images that are right among those drawn."""

    label = "Half"
    higher_is_better = True
    takes = "samples"

    def __call__(self, samples):
        return float(samples.correct.mean())


class OfScores:
    """A metric of a plugin that sorts what it is given, and fails where ID scores are few."""

    label = "Of scores"
    higher_is_better = True

    def __init__(self, least=0):
        self.least = least

    def __call__(self, scores_id, scores_ood):
        scores_id.sort()
        if np.unique(scores_id).size < self.least:
            raise ValueError("too few")
        return float(np.mean(scores_id[0] > scores_ood))


def test_metrics_of_plugins_are_resampled_in_a_loop_and_the_caption_says_so(tmp_path, monkeypatch):
    store, records = stored_in(tmp_path, half=0.9, scored=0.1, failing=0.1)
    plugins = {"half": Half(), "scored": OfScores(), "failing": OfScores(least=30)}
    monkeypatch.setattr(registry, "usable", lambda kind: plugins if kind == "metrics" else {})
    table = with_intervals((store, records), "table2", [*plugins])
    frame = add_intervals(to_frame(records), store, records, ["half"])
    samples = samples_of(records[0], store.scores(records[0]), "near")
    expected = percentile_interval(0.9, resampled_by_loop(plugins["half"], samples))

    assert "of Half and Of scores by a bootstrap of 200 resamples], none of Of scores, one seed" in table.caption
    row = frame[frame["key"] == records[0].key].iloc[0]
    assert (row["interval_low_half"], row["interval_high_half"]) == (expected.low, expected.high)
    assert cell(table, 0, "Half ↑").startswith("90.00 [")


def test_full_spectrum_metrics_are_resampled_with_shifted_images_as_in_distribution(tmp_path):
    sets = {"near": "novelty", "bright": "covariate"}
    store, records = stored_in(tmp_path, sets=sets, full_spectrum_auroc=0.9, full_spectrum_fpr_at_95tpr=0.1)
    name = "full_spectrum_auroc"
    frame = add_intervals(to_frame(records), store, records, [name, "full_spectrum_fpr_at_95tpr"])
    scores = store.scores(records[0])
    expected = delong_interval(np.concatenate([scores.id, scores.ood["bright"]]), scores.ood["near"])
    row = frame[(frame["key"] == records[0].key) & (frame["out_dist"] == "near")].iloc[0]

    assert (row[f"interval_low_{name}"], row[f"interval_high_{name}"]) == (expected.low, expected.high)
    assert row["interval_high_full_spectrum_fpr_at_95tpr"] > row["interval_low_full_spectrum_fpr_at_95tpr"]


def test_results_without_classes_have_intervals_of_what_reads_scores(tmp_path):
    store, records = stored_in(tmp_path, old=True)
    frame = add_intervals(to_frame(records), store, records)

    assert frame["interval_low_auroc"].notna().all()
    assert frame["interval_low_autc"].notna().all()
    assert "interval_low_oscr" not in frame
