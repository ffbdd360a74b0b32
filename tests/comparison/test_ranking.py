"""Ranks and best methods of made results."""

from __future__ import annotations

import numpy as np
import pytest

from oodbench.comparison.best import best_on_sets
from oodbench.comparison.cells import load_cells
from oodbench.comparison.ranking import Ranking, rank_records
from oodbench.errors import MetricError, StoreError, UnknownName
from oodbench.figures import draw_ranks
from oodbench.statistics import rank_methods
from oodbench.store.records import ResultStore

from .made import save_cell, save_cells

SKILLS = {"bad": 0.2, "fair": 1.0, "good": 2.0}


def test_methods_are_ranked_over_sets_and_seeds(tmp_path):
    save_cells(tmp_path, SKILLS)
    found = rank_records(ResultStore(tmp_path).all())

    assert found.ranks.names == ("good", "fair", "bad")
    assert found.ranks.mean_ranks == (1, 2, 3)
    assert (found.n_sets, found.n_seeds, found.left_out) == (2, 3, 0)
    assert rank_records(ResultStore(tmp_path).all(), metric="fpr_at_95tpr").ranks.names[0] == "good"


def test_sets_and_seeds_that_a_method_lacks_are_left_out_and_counted(tmp_path):
    save_cells(tmp_path, SKILLS)
    save_cell(tmp_path, "late", seed=0)
    found = rank_records(ResultStore(tmp_path).all())

    assert (found.ranks.n_blocks, found.left_out) == (2, 4)


def test_nothing_in_common_is_said_with_the_method_that_has_the_fewest(tmp_path):
    save_cells(tmp_path, SKILLS)
    save_cell(tmp_path, "late", seed=7)

    with pytest.raises(StoreError, match=r"auroc of all 4 methods; .* \(late has the fewest\)"):
        rank_records(ResultStore(tmp_path).all())


def test_two_methods_and_unknown_metrics_are_refused(tmp_path):
    save_cells(tmp_path, {"a": 1.0, "b": 2.0})
    records = ResultStore(tmp_path).all()

    with pytest.raises(MetricError, match="there are 2 methods to rank; take 3 or more"):
        rank_records(records)
    with pytest.raises(UnknownName, match="no metric 'aurok'"):
        rank_records(records, metric="aurok")


def test_best_of_each_set_and_those_that_may_be_as_good(tmp_path):
    save_cells(tmp_path, {**SKILLS, "good too": 2.0})
    found = best_on_sets(load_cells(tmp_path))

    assert list(found) == [("tiny", "near"), ("tiny", "far")]
    assert {*found["tiny", "near"].as_good} == {"good", "good too"}
    assert found["tiny", "near"].test == "DeLong over 3 seeds"
    assert found["tiny", "near"].alpha == 0.05


def test_a_method_without_a_seed_in_common_cannot_be_told_from_the_best(tmp_path):
    save_cells(tmp_path, SKILLS)
    save_cell(tmp_path, "late", seed=7, skill=0.1)

    assert "late" in best_on_sets(load_cells(tmp_path))["tiny", "near"].as_good


def a_ranking(k, n_blocks):
    names = [f"method {i} (with_a_setting={i}.5)" if i % 3 == 0 else f"m{i}" for i in range(k)]
    values = np.random.default_rng(0).normal(np.linspace(0, 2, k), 1, (n_blocks, k))
    ranks = rank_methods(values, names)
    return Ranking(ranks=ranks, label="AUROC", benchmarks=("x",), n_sets=n_blocks, n_seeds=1, left_out=0)


@pytest.mark.parametrize(("k", "n_blocks"), [(3, 2), (6, 15), (20, 40), (45, 10)])
def test_no_text_of_the_diagram_meets_another_or_leaves_the_picture(k, n_blocks):
    figure = draw_ranks(a_ranking(k, n_blocks))
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]

    assert len([text for text in figure.axes[0].texts if text.get_gid() == "name"]) == k
    assert [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)] == []
    assert all(figure.bbox.contains(*corner) for box in boxes for corner in box.get_points())


def test_bars_join_the_groups_and_do_not_meet():
    ranking = a_ranking(20, 40)
    bars = [line for line in draw_ranks(ranking).axes[0].lines if line.get_gid() == "group"]
    spans = [(bar.get_ydata()[0], *bar.get_xdata()) for bar in bars]

    assert len(bars) == len(ranking.ranks.groups) > 2
    assert all(a[0] != b[0] or a[2] < b[1] or b[2] < a[1] for i, a in enumerate(spans) for b in spans[:i])
