"""Whether one method is better than another, or only luckier: pure functions of scores and values."""

from __future__ import annotations

from .best import Best, find_best
from .bootstrap import compare_by_bootstrap, covariance_of, judged_by, resampled
from .delong import Aurocs, aurocs, compare_aurocs, placements
from .difference import Difference
from .holm import holm
from .ranks import Ranks, rank_methods
from .seeds import over_seeds
from .verdict import OnSet, Verdict, judge
from .wilcoxon import SignedRank, signed_rank

__all__ = [
    "Aurocs",
    "Best",
    "Difference",
    "OnSet",
    "Ranks",
    "SignedRank",
    "Verdict",
    "aurocs",
    "compare_aurocs",
    "compare_by_bootstrap",
    "covariance_of",
    "find_best",
    "holm",
    "judge",
    "judged_by",
    "over_seeds",
    "placements",
    "rank_methods",
    "resampled",
    "signed_rank",
]
