"""A page of results has everything that was asked for, in one file that needs nothing else."""

from __future__ import annotations

import json
import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

from oodbench.claims import Claim
from oodbench.errors import ConfigError, StoreError, UnknownName
from oodbench.report import make_report
from oodbench.report.chapter import chapters
from oodbench.report.curves import GRID, curves
from oodbench.report.facts import commands
from oodbench.report.gallery import BYTES, Budget, Picture
from oodbench.report.matrix import matrices
from oodbench.report.page import verdicts
from oodbench.store.records import Scores
from oodbench.store.selection import select_from
from tests.report.made import save_results

HOSTILE = '"><img src=x onerror=alert(1)>'
SCRIPT = "</script><script>alert(2)<!--"
VOID = {"meta", "link", "img", "input", "br"}


class Page(HTMLParser):
    """What a browser would find: every start of an element with its attributes, texts, and what was left open."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self.open, self.wrong = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.texts.append(data.strip())

    def all(self, tag):
        return [attributes for found, attributes in self.elements if found == tag]


def page_of(folder, **options):
    return make_report(folder, folder / "page.html", **options).read_text(encoding="utf-8")


def chapter_of(folder):
    return chapters(select_from([folder], benchmarks=(), methods=(), recipe=None), seed=0)[0]


def data_of(html):
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    return json.loads(found[1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_results(tmp_path_factory.mktemp("results"), {"odm": 2.0, "msp": 0.5}, seeds=2)


@pytest.fixture(scope="module")
def html(folder):
    return page_of(folder)


def test_page_is_whole_html_with_every_part(html):
    page = Page(html)

    assert page.open == []
    assert page.wrong == []
    headings = {"Data", "Networks", "Results", "Scores and thresholds", "Curves", "Embeddings", "Cost"}
    assert headings <= set(page.texts)


def test_page_refers_to_nothing_outside_of_it(html):
    page = Page(html)
    addresses = [v for _, a in page.elements for k, v in a.items() if k in ("src", "href", "srcset", "action", "data")]
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)[1]

    assert [address for address in addresses if not address.startswith(("data:", "#"))] == []
    assert "url(" not in style
    assert "@import" not in style
    assert any("default-src 'none'" in attributes.get("content", "") for attributes in page.all("meta"))


def test_plots_have_alternative_texts_and_fields_have_labels(html):
    page = Page(html)
    plots = [attributes for attributes in page.all("div") if "data-plot" in attributes]

    assert {plot["data-plot"] for plot in plots} == {"heat", "scores", "roc", "pr", "cloud", "cost"}
    assert all(plot["role"] == "img" and plot["aria-label"] for plot in plots)
    outside = re.sub(r"<label>.*?</label>", "", html[: html.index('id="data"')], flags=re.DOTALL)
    assert "<select" not in outside
    assert "<input" not in outside


def test_names_that_are_code_are_shown_as_text(tmp_path):
    sets = {HOSTILE: "novelty", SCRIPT: "anomaly"}
    save_results(tmp_path, {HOSTILE: 1.0, "<b>": 0.5}, sets=sets, in_dist="a<b>&c", classes=(HOSTILE, SCRIPT))
    html = page_of(tmp_path)
    page = Page(html)

    assert page.open == []
    assert page.wrong == []
    assert len(page.all("script")) == 3
    assert page.all("img") == []
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert HOSTILE in page.texts
    assert "a<b>&c" in page.texts
    assert data_of(html)["chapters"][0]["sets"] == [HOSTILE, SCRIPT]
    assert "<" not in html[html.index('id="data">') + 10 : html.index("</script>")]


def test_old_records_without_classes_have_a_page(tmp_path):
    html = page_of(save_results(tmp_path, {"odm": 2.0, "msp": 0.5}, old=True))

    assert [method["right"] for method in data_of(html)["chapters"][0]["curves"]] == [None, None]


def test_page_of_30_methods_on_10_sets_is_smaller_than_10_megabytes(tmp_path):
    sets = {f"set {i}": "anomaly" for i in range(10)}
    html = page_of(save_results(tmp_path, {f"m{i}": 0.1 * i for i in range(30)}, sets=sets, n=400), images=False)

    assert len(html.encode()) + BYTES < 10e6


def test_table_marks_the_best_and_the_worst_and_has_means_over_seeds(folder):
    matrix = matrices(chapter_of(folder), {"near": ("odm", "msp")})[0]
    accuracy, near, _, mean = matrix.lines["odm"]

    assert matrix.metric == "auroc"
    assert [*matrix.lines] == ["odm", "msp"]
    assert accuracy.text == "90.00 ± 0.00"
    assert near.mark == "best"
    assert not near.as_good
    assert "±" in near.text
    assert matrix.lines["msp"][1].mark == "worst"
    assert matrix.lines["msp"][1].as_good
    assert mean.value == pytest.approx((near.value + matrix.lines["odm"][2].value) / 2)


def test_curves_stand_at_the_thresholds_that_accept_so_many(tmp_path, monkeypatch):
    chapter = chapter_of(save_results(tmp_path, {"odm": 1.0}, sets={"near": "novelty"}, n=4))
    scores = Scores(
        id=np.array([4.0, 1.0, 3.0, 2.0]),
        ood={"near": np.array([0.0, 1.0, 2.5, 9.0])},
        predicted_id=np.array([0, 0, 0, 0]),
        true_id=np.array([0, 1, 0, 0]),
    )
    object.__setattr__(chapter.shown["odm"], "scores", scores)
    (found,) = curves(chapter)
    at = [GRID.index(tpr) for tpr in (0.25, 0.5, 0.75, 1.0)]

    assert [found["thresholds"][i] for i in at] == [4, 3, 2, 1]
    assert [found["tpr"][i] for i in at] == [0.25, 0.5, 0.75, 1]
    assert [found["sets"][0]["fpr"][i] for i in at] == [0.25, 0.25, 0.5, 0.75]
    assert [found["right"][i] for i in at] == [1, 1, 1, 0.75]


def test_equal_scores_are_accepted_together(tmp_path):
    chapter = chapter_of(save_results(tmp_path, {"odm": 1.0}, sets={"near": "novelty"}, n=4))
    same = np.ones(4)
    object.__setattr__(chapter.shown["odm"], "scores", Scores(id=same, ood={"near": same}))
    (found,) = curves(chapter)

    assert set(found["tpr"]) == {1}
    assert set(found["sets"][0]["fpr"]) == {1}


def test_command_makes_the_same_again(tmp_path):
    folder = save_results(tmp_path, {"odm": 1.0}, sets={"scenes (for lsun)": "anomaly"}, seeds=3)
    said = commands(chapter_of(folder))

    assert said == ["oodbench run --in tiny --recipe default --method odm --out lsun=scenes --seeds 3"]


def test_claims_of_a_benchmark_are_judged_on_its_page(tmp_path, monkeypatch):
    from oodbench.plugins import registry
    from tests.helpers import small_benchmark

    claim = Claim(text="ODM wins", source="here", method="odm", other="msp", sets=("near",))
    monkeypatch.setattr(
        registry,
        "usable",
        lambda kind: {"tiny": small_benchmark("tiny", claims=(claim,))} if kind == "benchmarks" else {},
    )
    ((recipe, verdict),) = verdicts(chapter_of(save_results(tmp_path, {"odm": 2.0, "msp": 0.0})))

    assert (recipe, verdict.answer) == ("", "holds")


def test_images_that_do_not_fit_are_left_out():
    budget = Budget(left=10)

    assert budget.take([Picture(source="x" * 6, text="")])
    assert not budget.take([Picture(source="x" * 6, text="")])


def test_embedded_images_are_shown_where_they_are_those_that_were_scored(tmp_path):
    import oodbench

    oodbench.run(
        "digits",
        ["msp"],
        settings={"recipe": {"epochs": 1}},
        results_dir=tmp_path / "results",
        cache_dir=tmp_path / "cache",
    )
    html = make_report(tmp_path / "results", tmp_path / "page.html", cache_dir=tmp_path / "cache").read_text()
    page = Page(html)
    texts = [attributes["alt"] for attributes in page.all("img")]

    assert sum(text.startswith("an image of") for text in texts) >= 3 + 4 + 3
    assert sum(text.startswith("ID image ") for text in texts) == 6
    assert sum(text.startswith("digits 5 9 1 image ") for text in texts) == 6


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"benchmarks": ["tinny"]}, UnknownName, "no stored benchmark 'tinny'. Did you mean 'tiny'"),
        ({"methods": "odn"}, UnknownName, "no stored method 'odn'"),
        ({"recipe": "slow"}, UnknownName, "no stored recipe 'slow'"),
    ],
)
def test_names_that_no_result_has_are_refused(folder, options, error, words):
    with pytest.raises(error, match=words):
        page_of(folder, **options)


def test_missing_results_are_told(tmp_path):
    with pytest.raises(StoreError, match="no results in"):
        make_report(tmp_path / "nothing", tmp_path / "page.html")


def test_page_that_cannot_be_written_is_told(folder, tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(StoreError, match="cannot write"):
        make_report(folder, tmp_path / "file" / "page.html")


def test_missing_plotly_is_told_with_the_command_that_installs_it(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly", None)

    with pytest.raises(ConfigError, match=re.escape("pip install 'oodbench[report]'")):
        make_report(folder)


def test_means_over_the_members_of_a_suite_are_shown(tmp_path):
    for member in ("one", "two"):
        save_results(tmp_path, {"odm": 2.0}, in_dist=member, suite="both")
    page = Page(page_of(tmp_path, images=False))

    assert {"Suites", "both: 2 members: one, two."} <= set(page.texts)


def test_colours_stand_out_from_a_light_and_from_a_dark_page(html):
    from oodbench.figures.colours import contrast
    from oodbench.report.page import GROUNDS

    pairs = [pair for colours in data_of(html)["chapters"][0]["colours"].values() for pair in colours]

    assert all(ground in html for ground in GROUNDS)
    assert min(contrast(colour, ground) for pair in pairs for colour, ground in zip(pair, GROUNDS, strict=True)) >= 3
