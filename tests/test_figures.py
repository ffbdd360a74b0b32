"""Figures of hand-made results: what is drawn where, and that every format can be saved."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from oodbench.figures import KINDS, draw_embeddings, draw_histograms, draw_pages, draw_roc, draw_split
from oodbench.figures.colours import ID_COLOURS, ood_colours
from oodbench.figures.labels import add_title
from oodbench.images import ImageSet
from oodbench.metrics import delong_interval, roc_curve
from oodbench.store.records import Scores

from .test_records import a_record, a_row

SETS = {"old": "seen", "new": "novelty", "noise": "anomaly"}


def a_result(method="odm", *, sets=SETS, dim=3, weights=None, **changes):
    """Return a record of three classes with random scores and embeddings."""
    random = np.random.default_rng(sum(map(ord, method)))
    record = a_record(
        method,
        rows=[dataclasses.replace(a_row(name, role, auroc=0.875), n_ood=200) for name, role in sets.items()],
        n_id=300,
        class_names=("two", "six", "seven"),
        fingerprints={"weights": weights or f"{method} network"},
        **changes,
    )
    labels = random.integers(0, 3, 300)
    scores = Scores(
        id=random.normal(2, 1, 300),
        ood={name: random.normal(0, 1, 200) for name in sets},
        embedding_id=(random.normal(0, 1, (300, dim)) + 5 * labels[:, None]).astype(np.float32),
        labels_id=labels,
        embedding_ood={name: random.normal(0, 1, (200, dim)).astype(np.float32) for name in sets},
    )
    return record, scores


def two_results(dim=3, **changes):
    return [a_result("msp", dim=dim, **changes), a_result("odm", dim=dim, **changes)]


def with_scores(scores_id, scores_ood):
    """Return a result with one set and these scores."""
    record, scores = a_result(sets={"new": "novelty"})
    return record, dataclasses.replace(scores, id=np.array(scores_id), ood={"new": np.array(scores_ood)})


def legend_of(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def titles_of(figure):
    return [title for axes in figure.axes if (title := axes.get_title())]


def row_labels(figure):
    return [text for text in figure.texts if text.get_text() != figure.get_suptitle()]


def row_names(figure):
    """Return the names beside the rows of an embedding figure, each on one line."""
    return [text.get_text().replace("\n", " ") for text in row_labels(figure)]


def boxes_of(figure, things):
    figure.canvas.draw()
    return [thing.get_window_extent() for thing in things]


@pytest.mark.parametrize("dim", [2, 3, 10])
@pytest.mark.parametrize(("kind", "panels"), [("embeddings", 6), ("histograms", 6), ("roc", 3)])
def test_every_kind_draws_a_panel_for_each_set(kind, panels, dim):
    figure = KINDS[kind](two_results(dim))
    assert isinstance(figure, Figure)
    assert len(figure.axes) == panels


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("format_", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_every_kind_can_be_saved_in_every_format(tmp_path, kind, format_, start):
    KINDS[kind](two_results(dim=10)).savefig(tmp_path / "figure", format=format_)
    assert (tmp_path / "figure").read_bytes().startswith(start)


@pytest.mark.parametrize("kind", KINDS)
def test_panels_are_named_after_their_set_and_its_role(kind):
    titles = [title.replace("\n", " ") for title in titles_of(KINDS[kind](two_results()))]
    assert titles == ["old (seen)", "new (novelty)", "noise (anomaly)"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_set_that_one_record_lacks_is_drawn_for_the_others(kind):
    fewer = {"old": "seen", "noise": "anomaly"}
    figure = KINDS[kind]([a_result("msp", sets=fewer), a_result("odm")])
    assert sorted(title.replace("\n", " ") for title in titles_of(figure)) == [
        "new (novelty)",
        "noise (anomaly)",
        "old (seen)",
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_one_result_on_one_set_is_enough(kind, tmp_path):
    KINDS[kind]([a_result(sets={"new": "novelty"})]).savefig(tmp_path / "figure.png")

    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("dim", "name"), [(2, "rectilinear"), (3, "3d"), (10, "3d")])
def test_embeddings_are_drawn_in_as_many_dimensions_as_they_have_up_to_three(dim, name):
    assert {axes.name for axes in draw_embeddings(two_results(dim)).axes} == {name}


def test_embeddings_of_three_dimensions_are_drawn_as_they_are():
    record, scores = a_result()
    clusters, others = draw_embeddings([(record, scores)]).axes[0].collections
    np.testing.assert_array_equal(scores.embedding_id, np.array(clusters._offsets3d).T)
    np.testing.assert_array_equal(scores.embedding_ood["old"], np.array(others._offsets3d).T)


def test_embeddings_of_many_dimensions_are_seen_where_the_in_distribution_spreads_most():
    record, scores = a_result(dim=10)
    # Classes lie along the last three axes, each much wider than all the others.
    stretched = scores.embedding_id * np.array([0.01] * 7 + [100, 10, 1], dtype=np.float32)
    clusters, _ = draw_embeddings([(record, dataclasses.replace(scores, embedding_id=stretched))]).axes[0].collections
    drawn = np.array(clusters._offsets3d)
    centred = stretched - stretched.mean(axis=0)
    assert np.var(drawn, axis=1).sum() == pytest.approx(np.var(centred, axis=0).sum(), rel=1e-3)
    assert abs(np.corrcoef(drawn[0], stretched[:, 7])[0, 1]) == pytest.approx(1, abs=1e-3)


def test_embeddings_have_the_colour_of_their_class():
    record, scores = a_result(dim=2)
    clusters = draw_embeddings([(record, scores)]).axes[0].collections[0]
    expected = [ID_COLOURS[label] for label in scores.labels_id]
    assert expected == [to_hex(colour) for colour in clusters.get_facecolors()]


def test_embeddings_of_methods_that_share_a_network_share_a_row():
    results = [a_result("msp", weights="ce"), a_result("odin", weights="ce"), a_result("odm")]
    figure = draw_embeddings(results)
    assert row_names(figure) == ["msp, odin", "odm"]
    assert len(figure.axes) == 2 * len(SETS)


def test_embeddings_of_a_network_that_many_methods_share_are_named_after_its_objective():
    results = [a_result(f"m{i}", weights="ce", objective={"name": "ce"}) for i in range(4)]
    assert row_names(draw_embeddings([*results, a_result("odm")])) == ["ce (4 methods)", "odm"]


def test_long_names_on_one_network_give_way_to_its_own():
    given = {"recipe": "given: mine.py:build", "training": {}, "weights": "one"}
    results = [a_result(name, changed={"setting": "a long value"}, **given) for name in ("first", "second")]
    assert row_names(draw_embeddings(results)) == ["mine.py:build (2 methods)"]


def test_embeddings_of_two_recipes_are_told_apart():
    results = [a_result("odm", weights="a", recipe="default"), a_result("odm", weights="b", recipe="quick")]
    assert row_names(draw_embeddings(results)) == ["odm [default]", "odm [quick]"]


def test_embeddings_leave_the_panel_of_a_missing_set_empty():
    figure = draw_embeddings([a_result("msp"), a_result("odm", sets={"old": "seen"})])
    assert [len(axes.collections) for axes in figure.axes] == [2, 2, 2, 2, 0, 0]


def test_the_legend_of_embeddings_names_classes_and_sets():
    expected = ["ID: two", "ID: six", "ID: seven", "old", "new", "noise"]
    assert expected == legend_of(draw_embeddings(two_results()))


@pytest.mark.parametrize("classes", [3, 10, 40])
@pytest.mark.parametrize("sets", [dict(list(SETS.items())[:1]), SETS], ids=["one set", "three sets"])
def test_the_legend_of_embeddings_lies_within_the_figure_and_below_the_panels(classes, sets):
    names = tuple(f"a class called {i}" for i in range(classes))
    record, scores = a_result(sets=sets, dim=2)
    figure = draw_embeddings([(dataclasses.replace(record, class_names=names), scores)])
    (legend,) = boxes_of(figure, figure.legends)
    assert legend.x0 >= 0
    assert legend.x1 <= figure.bbox.width
    assert legend.y1 < min(axes.bbox.y0 for axes in figure.axes)


@pytest.mark.parametrize("dim", [2, 3])
def test_long_names_of_rows_lie_within_the_figure_and_do_not_touch(dim):
    changed = {"temperature": 1000.0, "epsilon": 0.0014}
    results = [a_result("msp", dim=dim, weights="ce"), a_result("odin", dim=dim, weights="ce", changed=changed)]
    figure = draw_embeddings([*results, a_result("odm", dim=dim, changed={"margin": 5.0, "squared": False})])
    upper, lower = boxes_of(figure, row_labels(figure))
    assert upper.x0 >= 0
    assert upper.y1 <= figure.bbox.height
    assert lower.y1 < upper.y0
    assert upper.x1 <= figure.axes[0].bbox.x0


def line_of(axes):
    """Return where the threshold of a histogram is drawn."""
    (line,) = axes.lines
    (low, high) = line.get_xdata()
    assert low == high
    return low


def test_histograms_show_the_threshold_at_95_percent_tpr():
    record, scores = with_scores(np.arange(100.0), np.arange(-50.0, 50.0))
    # 95 of 0 … 99 are at least 5.
    assert line_of(draw_histograms([(record, scores)]).axes[0]) == 5.0


def test_histograms_show_each_row_its_own_threshold():
    results = two_results()
    axes = draw_histograms(results).axes
    expected = [np.sort(scores.id)[-285] for _, scores in results for _ in SETS]
    assert expected == [line_of(panel) for panel in axes]


def heights(axes, values):
    """Return the bars of the in-distribution (0) or of the OOD set (1)."""
    return axes.patches[values].get_data().values


def test_histograms_count_every_image_though_the_ends_are_cut():
    record, scores = with_scores([*np.linspace(0, 1, 300), 1e6], [*np.linspace(-1, 0, 300), -1e6])
    axes = draw_histograms([(record, scores)]).axes[0]
    assert axes.get_xlim()[1] < 2
    assert sum(heights(axes, 0)) == pytest.approx(1)
    assert sum(heights(axes, 1)) == pytest.approx(1)


def test_histograms_show_a_small_set_beside_a_large_one():
    record, scores = with_scores(np.linspace(10, 11, 50), np.linspace(0, 1, 50_000))
    axes = draw_histograms([(record, scores)]).axes[0]
    assert axes.get_xlim()[1] > 10.9
    assert max(heights(axes, 0)) < 0.5


@pytest.mark.parametrize("value", [0.0, 1.0, -1e9, 1e-30, 1e20])
def test_histograms_of_constant_scores_can_be_drawn(tmp_path, value):
    record, scores = with_scores([value] * 20, [value] * 30)
    figure = draw_histograms([(record, scores)])
    figure.savefig(tmp_path / "figure.png")
    assert line_of(figure.axes[0]) == value
    assert sum(heights(figure.axes[0], 0)) == pytest.approx(1)


def test_histograms_name_methods_and_areas():
    figure = draw_histograms([a_result("msp"), a_result("odm", changed={"margin": 5.0})])
    assert [figure.axes[0].get_ylabel(), figure.axes[3].get_ylabel()] == ["msp", "odm (margin=5)"]
    assert {axes.texts[0].get_text() for axes in figure.axes} == {"AUROC 87.50"}


def test_histograms_say_where_a_set_is_missing():
    figure = draw_histograms([a_result("msp"), a_result("odm", sets={"old": "seen", "noise": "anomaly"})])
    assert [axes.texts[0].get_text() for axes in figure.axes[3:]] == ["AUROC 87.50", "no data", "AUROC 87.50"]


def curves_of(axes):
    """Return the ROC curves of a panel, without the line at 95%."""
    return axes.lines[:-1]


def test_roc_curves_are_those_of_the_metrics():
    results = two_results()
    for axes, name in zip(draw_roc(results).axes, SETS, strict=True):
        for line, (_, scores) in zip(curves_of(axes)[::-1], results, strict=True):
            curve = roc_curve(scores.id, scores.ood[name])
            np.testing.assert_array_equal(curve.fpr, line.get_xdata())
            np.testing.assert_array_equal(curve.tpr, line.get_ydata())


def test_roc_curves_have_one_legend_for_the_methods_and_the_area_in_each_panel():
    figure = draw_roc([a_result("msp"), a_result("odm", changed={"margin": 5.0})])
    assert legend_of(figure) == ["msp", "odm (margin=5)"]
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["87.50", "87.50"]


def test_roc_curves_show_the_interval_over_test_images_of_each_area_and_say_so():
    result = with_scores([0.5, 1.0, 2.0, 3.0], [0.0, 1.5, -1.0])
    legend = draw_roc([result], spread="interval").axes[0].get_legend()
    found = delong_interval([0.5, 1.0, 2.0, 3.0], [0.0, 1.5, -1.0])

    assert legend.get_texts()[0].get_text() == f"87.50 [{100 * found.low:.2f}, {100 * found.high:.2f}]"
    assert "interval" in legend.get_title().get_text()


def test_roc_curves_show_the_deviation_over_the_seeds_of_their_own_method():
    def seeds(method, *aurocs):
        record, scores = a_result(method, sets={"new": "novelty"})
        rows = [dataclasses.replace(record.rows[0], metrics={"auroc": auroc}) for auroc in aurocs]
        return [dataclasses.replace(record, seed=i, rows=(row,)) for i, row in enumerate(rows)], scores

    (odm, scores), (msp, others) = seeds("odm", 0.8, 0.9), seeds("msp", 0.5)
    legend = draw_roc([(odm[0], scores), (msp[0], others)], records=[*odm, *msp]).axes[0].get_legend()

    assert [text.get_text() for text in legend.get_texts()] == ["80.00 ± 7.07", "50.00"]
    assert "deviation over seeds" in legend.get_title().get_text()


def test_an_interval_of_a_single_image_is_not_shown():
    legend = draw_roc([with_scores([1.0], [0.0, 2.0])], spread="interval").axes[0].get_legend()
    assert legend.get_texts()[0].get_text() == "87.50"


def test_roc_curves_keep_the_colour_of_their_method_where_another_lacks_a_set():
    figure = draw_roc([a_result("msp", sets={"old": "seen"}), a_result("odm")])
    msp, odm = (line.get_color() for line in curves_of(figure.axes[0])[::-1])
    assert msp != odm
    assert [[line.get_color() for line in curves_of(axes)] for axes in figure.axes[1:]] == [[odm], [odm]]


def test_of_many_roc_curves_the_best_have_colours_and_names_and_the_others_are_grey():
    results = [a_result(f"m{i}", sets={"old": "seen"}) for i in range(12)]
    for i, (record, scores) in enumerate(results):
        row = dataclasses.replace(record.rows[0], metrics=record.rows[0].metrics | {"auroc": 0.6 + i / 100})
        results[i] = dataclasses.replace(record, rows=(row,)), scores
    figure = draw_roc(results)
    assert legend_of(figure) == [*(f"m{i}" for i in range(11, 3, -1)), "4 more, with a lower mean AUROC"]
    colours = [line.get_color() for line in curves_of(figure.axes[0])]
    assert len(set(colours)) == 9
    assert len(set(colours[:4])) == 1
    assert figure.axes[0].get_legend().get_texts()[0].get_text() == "71.00"


def test_roc_curves_of_two_recipes_are_told_apart():
    results = [a_result(recipe="default"), a_result(recipe="quick (epochs=2)")]
    assert legend_of(draw_roc(results)) == ["odm [default]", "odm [quick (epochs=2)]"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_figure_names_its_set_its_seed_and_a_reduced_training(kind):
    whole = KINDS[kind]([a_result(seed=2, recipe="paper")])
    assert whole.get_suptitle() == "tiny as in-distribution, seed 2"
    reduced = KINDS[kind]([a_result(recipe="quick", cut_short="5 of 100 epochs"), a_result("msp")])
    assert reduced.get_suptitle() == "tiny as in-distribution, seed 0; reduced training: quick"


@pytest.mark.parametrize("kind", KINDS)
def test_methods_and_images_of_one_name_are_told_apart_in_every_figure(kind):
    results = [
        a_result("knn", key="first", settings={"k": 1}, weights="a"),
        a_result("knn", key="second", settings={"k": 3}, weights="b"),
    ]
    figure = KINDS[kind](results)
    said = [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
    said += [axes.yaxis.label for axes in figure.axes]
    assert {"knn [k=1]", "knn [k=3]"} <= {text.get_text() for text in said}


def test_sets_have_colours_of_their_own_that_no_class_has():
    roles = ["seen"] * 2 + ["novelty"] * 2 + ["anomaly"] * 5
    colours = list(ood_colours({f"set {i}": role for i, role in enumerate(roles)}).values())
    assert len({*colours, *ID_COLOURS}) == len(roles) + len(ID_COLOURS)


def test_a_set_has_one_colour_in_every_figure():
    assert ood_colours({"a": "novelty"})["a"] == ood_colours({"x": "seen", "a": "novelty"})["a"]


def a_split():
    return {
        "id": ["cat", "cow", "dog"],
        "seen": [],
        "unseen": ["elk", "fox"],
        "groups": {"cloven": ["cow", "elk"]},
        "dropped": {"owl": "left out"},
    }


def test_split_shows_one_typical_image_of_each_class_part_by_part():
    names = ("cat", "cow", "dog", "elk", "fox", "owl")
    # Contrasts 0, 1, 2 a class: the typical image is the one in the middle.
    pixels = np.zeros((18, 3, 4, 4), np.uint8)
    pixels[:, :, ::2] = (np.arange(18) % 3 * 50 + np.arange(18) // 3)[:, None, None, None]
    images = ImageSet(name="pets", images=pixels, labels=np.arange(18) // 3, class_names=names)

    figure = draw_split(a_split(), images)

    assert [panel.get_suptitle() for panel in figure.subfigs] == [
        "in-distribution (3)",
        "unseen out-of-distribution (2)",
    ]
    drawn = {axes.get_title(): axes.images[0].get_array() for axes in figure.get_axes() if axes.images}
    assert list(drawn) == ["cat", "cow", "dog", "elk", "fox"]
    assert [int(array.max()) for array in drawn.values()] == [50, 51, 52, 53, 54]
    colours = {axes.get_title(): axes.title.get_color() for axes in figure.get_axes() if axes.images}
    assert colours["cow"] == colours["elk"] != colours["cat"]


def test_few_results_are_one_picture():
    assert [len(draw_pages(kind, two_results())) for kind in KINDS] == [1, 1, 1]


def test_many_results_are_several_pictures_of_about_as_many_rows():
    results = [a_result(f"m{i}", sets={"new": "novelty"}) for i in range(14)]
    first, second = draw_pages("histograms", results)

    names = [axes.get_ylabel() for figure in (first, second) for axes in figure.axes]
    assert names == [f"m{i}" for i in range(14)]
    assert len(first.axes) == len(second.axes) == 7
    assert [figure.texts[-1].get_text() for figure in (first, second)] == ["1 of 2", "2 of 2"]
    assert max(figure.get_figheight() for figure in (first, second)) < 24


def test_methods_of_one_network_are_on_one_page_of_embeddings():
    results = [a_result(f"m{i}", sets={"new": "novelty"}, weights=f"network {i % 7}") for i in range(14)]
    pages = draw_pages("embeddings", results)

    assert [len(figure.axes) for figure in pages] == [4, 3]
    assert "m0, m7" in [text.get_text() for text in pages[0].texts]


def test_many_classes_have_one_entry_in_the_legend():
    record, scores = a_result()
    names = tuple(f"sign {i}" for i in range(37))
    figure = draw_embeddings([(dataclasses.replace(record, class_names=names), scores)])

    assert legend_of(figure)[0] == "ID: 37 classes, whose colours repeat"
    assert len(legend_of(figure)) == 1 + len(SETS)


def test_drawn_images_are_spread_over_a_set_whose_order_is_that_of_its_classes():
    record, scores = a_result(sets={"new": "novelty"})
    labels = np.repeat([0, 1, 2], 300)
    points = np.repeat([[0.0], [10.0], [20.0]], 300, axis=0).repeat(3, axis=1).astype(np.float32)
    scores = dataclasses.replace(scores, embedding_id=points, labels_id=labels)
    (axes,) = draw_embeddings([(record, scores)]).axes
    drawn = {to_hex(colour) for colour in axes.collections[0].get_facecolors()}

    assert drawn == set(ID_COLOURS[:3])


def test_a_long_title_stays_inside_a_narrow_figure():
    record = dataclasses.replace(a_record("msp"), cut_short="short", recipe="default (epochs=5, max_images=3000)")
    figure = Figure(figsize=(5, 3))
    add_title(figure, [record])
    lines = figure.get_suptitle().splitlines()
    assert len(lines) > 1
    assert " ".join(lines).endswith("reduced training: default (epochs=5, max_images=3000)")
    box = FigureCanvasAgg(figure).figure._suptitle.get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.width
