"""Networks, metrics and table layouts keep their contracts, and each check fails one that breaks it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from oodbench.engine.measures import all_metrics
from oodbench.engine.python import load_results, run
from oodbench.errors import PluginError
from oodbench.metrics import METRICS, SAMPLE_METRICS, CurveMetric
from oodbench.networks.tinynet import TinyNet
from oodbench.plugins import registry
from oodbench.tables import Span, Table, layout_table, make_table
from oodbench.testing import layouts, metrics, networks, parametrize_with_checks
from tests.helpers import small_benchmark

NETWORKS, LAYOUTS = (list(registry.usable(kind).values()) for kind in ("networks", "layouts"))


@parametrize_with_checks([*NETWORKS, *METRICS.values()])
def test_built_in_keeps_the_contract(plugin, check):
    check(plugin)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
@pytest.mark.parametrize("check", layouts.LAYOUT_CHECKS, ids=lambda check: check.__name__)
def test_built_in_layout_keeps_the_contract(layout, check):
    check(layout)


class NoHead(nn.Module):
    def __init__(self, shape, n_outputs):
        super().__init__()

    def features(self, images):
        return images.flatten(1)


class Bent(TinyNet):
    def forward(self, images):
        return super().forward(images).relu() + 1


class Pictures(TinyNet):
    def features(self, images):
        return super().features(images)[:, :, None]


class OneOutput(TinyNet):
    def __init__(self, shape, n_outputs):
        super().__init__(shape, 1)


class Centred(TinyNet):
    def forward(self, images):
        outputs = super().forward(images)
        return outputs - outputs.mean(dim=0)


class Forgetful(TinyNet):
    def __init__(self, shape, n_outputs):
        super().__init__(shape, n_outputs)
        self.scale = torch.rand(1)
        Forgetful.count = getattr(Forgetful, "count", 0) + 1
        self.scale = self.scale + Forgetful.count

    def forward(self, images):
        return super().forward(images) * self.scale


@pytest.mark.parametrize(
    ("check", "broken", "message"),
    [
        (networks.check_it_is_a_head_on_features, lambda shape, n: 3, "must make a torch.nn.Module, got int"),
        (networks.check_it_is_a_head_on_features, NoHead, "give the network 'head'"),
        (networks.check_it_is_a_head_on_features, Pictures, r"shape \(n, n_features\), got \(4, 128, 1\)"),
        (networks.check_it_is_a_head_on_features, OneOutput, r"head must give \(n, n_outputs\), got \(4, 1\)"),
        (networks.check_it_is_a_head_on_features, Bent, "must be head"),
        (networks.check_outputs_do_not_depend_on_the_batch, Centred, "other images of the batch"),
        (networks.check_weights_can_be_stored, Forgetful, "in parameters and buffers"),
    ],
)
def test_check_fails_a_network_that_breaks_it(check, broken, message):
    with pytest.raises(PluginError, match=message):
        check(broken)


def in_place(scores_id, scores_ood):
    scores_id.sort()
    return 0.5


@pytest.mark.parametrize(
    ("check", "function", "message"),
    [
        (metrics.check_one_finite_number, lambda a, b: float("nan"), "finite float"),
        (metrics.check_one_finite_number, lambda a, b: a, "finite float"),
        (metrics.check_scores_are_left_alone, in_place, "copy the scores"),
        (metrics.check_order_does_not_count, lambda a, b: float(a[0]), "in another order"),
        (metrics.check_direction_is_true, lambda a, b: float(b.mean() - a.mean()), "turn it round"),
    ],
)
def test_check_fails_a_metric_that_breaks_it(check, function, message):
    with pytest.raises(PluginError, match=message):
        check(function_with_metadata(function))


def function_with_metadata(function, *, higher_is_better=True):
    function.label, function.higher_is_better = "A metric", higher_is_better
    return function


def test_metric_without_heading_is_refused():
    with pytest.raises(PluginError, match="set 'label'"):
        metrics.check_is_described(CurveMetric("", lambda curve: 0.5))


@pytest.mark.parametrize(
    ("check", "broken", "message"),
    [
        (layouts.check_it_returns_a_table, lambda frame: "table", "Table, got str"),
        (
            layouts.check_it_returns_a_table,
            lambda frame: Table(caption="", header=("a", "b"), rows=(((Span("x"),),),), groups=(0,)),
            "as long as the header",
        ),
        (
            layouts.check_it_returns_a_table,
            lambda frame: Table(caption="", header=("a",), rows=(((Span("x"),),),), groups=()),
            "one number for each row",
        ),
        (
            layouts.check_rows_are_left_alone,
            lambda frame: frame.insert(0, "new", 1),
            "copy the rows",
        ),
    ],
)
def test_check_fails_a_layout_that_breaks_it(check, broken, message):
    with pytest.raises(PluginError, match=message):
        check(broken)


PLUGIN = """
import numpy as np
from oodbench.tables import Span, Table


def gap(scores_id, scores_ood):
    return float(np.mean(scores_id) - np.mean(scores_ood)) ** 2


gap.label = "Squared gap"
gap.higher_is_better = True


def gaps(frame):
    '''One line a method, with the mean squared gap.'''
    means = frame.groupby("method")["gap"].mean()
    rows = tuple(((Span(name),), (Span(f"{value:.3f}"),)) for name, value in means.items())
    return Table(caption="Gaps.", header=("Method", "Gap"), rows=rows, groups=(0,) * len(rows))


def broken(scores_id, scores_ood):
    return scores_id["x"]


def undefined(scores_id, scores_ood):
    return float("nan")


broken.label = undefined.label = "Broken"
broken.higher_is_better = undefined.higher_is_better = True


def no_table(frame):
    return frame


def fails(frame):
    return frame["no such column"]
"""


def test_metric_and_layout_of_a_package_are_in_rows_and_tables(plugins):
    entries = {"metrics": {"gap": "stranger:gap"}, "layouts": {"gaps": "stranger:gaps"}}
    plugins("stranger", entries, {"stranger.py": PLUGIN})

    frame = run(small_benchmark(), "msp", settings=["recipe.epochs=1"])

    columns = list(frame.columns)
    assert columns.index("gap") == max(map(columns.index, METRICS.keys() | SAMPLE_METRICS.keys() & set(columns))) + 1
    assert frame["gap"].between(0, 1).all()
    assert "Gap" in make_table(frame, "gaps").splitlines()[2]
    assert "gap" in make_table(frame, "flat")


def test_rows_keep_a_metric_whose_package_is_gone(plugins):
    plugins("stranger", {"metrics": {"gap": "stranger:gap"}}, {"stranger.py": PLUGIN})
    with_it = run(small_benchmark(), "msp", settings=["recipe.epochs=1"])
    for place in registry.entry_points(group="oodbench.metrics"):
        assert place.name == "gap"
    values = load_results()["gap"].tolist()

    assert values == with_it["gap"].tolist()


def test_new_metric_is_computed_for_cells_that_are_stored(plugins):
    before = run(small_benchmark(), "msp", settings=["recipe.epochs=1"])
    plugins("stranger", {"metrics": {"gap": "stranger:gap"}}, {"stranger.py": PLUGIN})
    after = run(small_benchmark(), "msp", settings=["recipe.epochs=1"])

    assert "gap" not in before
    assert after["gap"].notna().all()
    assert before["auroc"].tolist() == after["auroc"].tolist()


@pytest.mark.parametrize(
    ("name", "message"),
    [("broken", r"metric 'm' of stranger 1.0 .* failed: IndexError"), ("undefined", "returned nan; a metric must be")],
)
def test_metric_that_fails_is_named(plugins, name, message):
    plugins("stranger", {"metrics": {"m": f"stranger:{name}"}}, {"stranger.py": PLUGIN})

    with pytest.raises(PluginError, match=message):
        all_metrics([1.0, 2.0], [0.0])


def test_metric_cannot_change_the_scores_of_the_others(plugins):
    text = "def m(a, b):\n    a[:] = 0\n    return 0.5\n\nm.label, m.higher_is_better = 'M', True\n"
    plugins("stranger", {"metrics": {"m": "stranger:m"}}, {"stranger.py": text})
    scores = np.array([1.0, 2.0])

    assert all_metrics(scores, [0.0])["m"] == 0.5
    assert scores.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("name", "message"),
    [("no_table", "returned DataFrame; it must return an"), ("fails", "failed on 3 rows: KeyError")],
)
def test_layout_that_fails_is_named(plugins, name, message):
    frame = run(small_benchmark(), "msp", settings=["recipe.epochs=1"])
    plugins("stranger", {"layouts": {"mine": f"stranger:{name}"}}, {"stranger.py": PLUGIN})

    with pytest.raises(PluginError, match=rf"layout 'mine' of stranger 1.0 .* {message}"):
        layout_table(frame, "mine")
