"""The handwritten digits that scikit-learn ships."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from oodbench.images import Conversion, RawImages

from ._made import MadeSet
from ._shipped import shipped


@dataclass(frozen=True, kw_only=True)
class Digits(MadeSet):
    """1,797 real handwritten digits, 8×8 grey, with 17 grey levels stretched to 0 … 255.

    Every third image of each class is for testing: there is no official split.
    Source: Alpaydin & Kaynak, UCI Optical Recognition of Handwritten Digits, 1998; `sklearn.datasets.load_digits`.
    """

    title: ClassVar[str] = "Handwritten digits of scikit-learn, 8×8 grey, 1,797 in all (embedded)"
    source: ClassVar[str] = "Alpaydin & Kaynak 1998"

    def read(self, split: str, data_dir: Path, conversion: Conversion) -> RawImages:
        """Return the digits of a split, with labels."""
        import numpy as np

        # A row a digit: 64 grey levels, then which digit it is.
        table = np.loadtxt(shipped("data/digits.csv.gz"), delimiter=",", dtype=np.int64)
        digits, labels = table[:, :-1].reshape(-1, 8, 8), table[:, -1].copy()
        is_test = np.zeros(len(labels), dtype=bool)
        for digit in range(10):
            is_test[np.flatnonzero(labels == digit)[2::3]] = True
        chosen = is_test if split == "test" else ~is_test
        images = np.rint(digits[chosen] * (255 / 16)).astype(np.uint8)
        return RawImages(images=images, labels=labels[chosen], class_names=tuple("0123456789"))
