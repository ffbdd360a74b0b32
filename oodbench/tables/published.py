"""Published numbers, to stand beside ours."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Published:
    """The numbers of one published table.

    Attributes:
        file: a CSV with columns method, out_dist, perhaps in_dist, and one a metric, in percent.
        note: what a reader must know to compare.
        in_dist: the in-distribution, for a file without that column.
        in_dists: our benchmark for each in-distribution of the file; where it is not empty, others are not compared.
        metrics: our name of each column that has another name there.
        methods: our method for each published one, with "(seen …)" where a file tells seen OOD data apart; a published
            method that is not named here is not compared.
        in_dists: our name of each in-distribution that has another name there.
        out_dists: our name of each OOD set that has another name there.
        only: the columns that can be compared, for a method of ours of which not all can.
    """

    file: str
    note: str
    in_dist: str = ""
    metrics: Mapping[str, str] = field(default_factory=dict)
    methods: Mapping[str, str] = field(default_factory=dict)
    in_dists: Mapping[str, str] = field(default_factory=dict)
    out_dists: Mapping[str, str] = field(default_factory=dict)
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def _rows(self) -> dict[tuple[str, str, str], dict[str, float]]:
        with (published_folder() / self.file).open(newline="", encoding="utf-8") as opened:
            lines = list(csv.DictReader(opened))
        words = {"in_dist", "out_dist", "kind", "method", "seen_out_dist"}
        rows = {}
        for line in lines:
            method, there = self.methods.get(_method(line)), line.get("in_dist", self.in_dist)
            in_dist = self.in_dists.get(there) if self.in_dists else there
            if method is not None and in_dist is not None:
                key = in_dist, method, self.out_dists.get(line["out_dist"], line["out_dist"])
                numbers = {name: float(value) for name, value in line.items() if name not in words}
                found = {self.metrics.get(name, name): value for name, value in numbers.items()}
                rows[key] = {name: found[name] for name in self.only.get(method, tuple(found))}
        return rows

    def numbers(self, in_dist: str, method: str, out_dist: str) -> Mapping[str, float] | None:
        """Return published percentages by our metric names, or None where nothing was published."""
        return self._rows.get((in_dist, method, out_dist))

    def has(self, place: tuple[str, str, str]) -> bool:
        """Return whether something was published for an in-distribution, method and OOD set."""
        return place in self._rows

    def accuracies(self, in_dist: str) -> Mapping[str, float]:
        """Return the published ID accuracies in percent, by our methods."""
        return {
            method: row["accuracy"]
            for (there, method, _), row in self._rows.items()
            if there == in_dist and "accuracy" in row
        }


def _method(line: Mapping[str, str]) -> str:
    """Return a published method, with the seen OOD data where there was any."""
    seen = line.get("seen_out_dist", "none")
    return line["method"] if seen == "none" else f"{line['method']} (seen {seen})"


def published_folder() -> Path:
    """Return the folder of the published numbers, in an installed package or in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "published"
    return installed if installed.is_dir() else package.parent / "results" / "published"


_SURVEY_METHODS = {
    "msp": "msp",
    "mlv": "max_logit",
    "msp_oe": "outlier_exposure",
    "mlv_oe": "outlier_exposure (score=max_logit)",
    "ensemble": "ensemble (members=3)",
    "mahalanobis": "mahalanobis",
    "mc_dropout": "mc_dropout",
    "odin": "odin",
}

_SURVEY_NOTE = (
    "published: Salehi et al., TMLR 2022, Table {number}, trained by others, with other outliers (80 Million Tiny "
    "Images). Its numbers are in the sense of Hendrycks et al., ICLR 2019, whose code tests on one OOD image for five "
    "ID images: FPR95 is the share of ID images that are rejected where 95% of OOD images are "
    "(fpr_at_95tpr_ood_positive), and OOD is the positive class of AUPR (aupr_out_one_in_six; it is 14 to 16 where "
    "the AUROC is near 50). Its rows of ODIN are in that of Liang et al., ICLR 2018, with as many OOD as ID images "
    "(AUPR 45 where the AUROC is 51), so that only their AUROC is compared."
)

_MISPRINTS = (
    " In Table 3, FPR95 of MSP on Rademacher and Blob repeat AUROC and AUPR on Gaussian, and ODIN's AUPR repeats that "
    "of MC dropout."
)


def _survey(number: int, in_dist: str, benchmark: str) -> Published:
    return Published(
        file="survey_ood_paper.csv",
        note=_SURVEY_NOTE.format(number=number) + (_MISPRINTS if number == 3 else ""),
        in_dists={in_dist: benchmark},
        metrics={"fpr_at_95tpr": "fpr_at_95tpr_ood_positive", "aupr": "aupr_out_one_in_six"},
        methods=_SURVEY_METHODS,
        only={"odin": ("auroc",)},
    )


_CHEN_ZHAO = Published(
    file="skip_the_question_paper.csv",
    note=(
        "published: Chen & Zhao, Skip the question you don't know, Tables I and II; abnormality_module is there the "
        "baseline, Hendrycks et al."
    ),
    methods={"abnormality_module": "abnormality_module", "skip": "skip"},
    in_dists={
        "mnist": "skip-mnist",
        "cifar10": "skip-cifar10",
        **{f"mnist-minus-{pair}": f"skip-mnist-digits-{pair}" for pair in ("01", "23", "45", "67", "89")},
    },
    out_dists={f"mnist-{pair}": "left-out digits" for pair in ("01", "23", "45", "67", "89")},
)

PUBLISHED: Mapping[str, Published] = {
    "table1": Published(
        file="table1_paper.csv",
        note=(
            "published: Masana et al., BMVC 2018, Table 1. Its column ODIN repeats the cross-entropy baseline of the "
            "CC-AG paper digit for digit, so it stands beside msp."
        ),
        metrics={"aupr_in": "aupr_in_equal_prior", "aupr_out": "aupr_out_equal_prior"},
        methods={"odin": "msp", "ccag": "ccag (outliers=seen)", "odm": "odm"},
    ),
    "table2": Published(
        file="table2_paper.csv",
        note="published: Masana et al., BMVC 2018, Table 2; its Tsinghua row stands beside the unseen signs.",
        in_dist="tsinghua",
        methods={
            "odin": "odin",
            "ml": "ml",
            "odm (seen tsinghua)": "odm",
            "odm (seen background)": "odm (seen=background)",
            "odm (seen gaussian)": "odm (seen=gaussian)",
        },
        out_dists={"tsinghua": "unseen signs"},
    ),
    "survey3": _survey(3, "cifar10", "survey-cifar10"),
    "survey4": _survey(4, "cifar100", "survey-cifar100"),
    "survey6": _survey(6, "tiny_imagenet", "survey-tiny-imagenet"),
    "skip1": _CHEN_ZHAO,
    "skip2": _CHEN_ZHAO,
}
