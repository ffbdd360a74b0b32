"""The tail of a sample as extreme value theory has it: a Weibull distribution of its largest values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

TRANSLATION = 10_000.0
"""Where LibMR moves the smallest value of a tail before it fits a distribution that starts at 0."""


@dataclass(frozen=True, kw_only=True)
class WeibullTail:
    """W(d) = 1 − exp(−((d + shift) / scale)^shape), and 0 where d + shift is negative.

    Attributes:
        shape: κ.
        scale: λ.
        shift: −τ.
    """

    shape: float
    scale: float
    shift: float

    @classmethod
    def of(cls, values: NDArray[np.float64], size: int) -> WeibullTail:
        """Return the maximum-likelihood fit to the `size` largest values, as LibMR's FitHigh.

        Source: Scheirer et al., TPAMI 2011; Bendale & Boult, CVPR 2016, Algorithm 1.

        Args:
            values: shape (n,), not all equal.
            size: values in the tail; all of them where there are fewer, or where those in the tail are equal.
        """
        from scipy.stats import gumbel_l

        tail = np.sort(values)[-size:]
        if tail[0] == tail[-1]:
            tail = np.sort(values)
        shift = TRANSLATION - tail[0]
        # The logarithm of a Weibull variable has a Gumbel distribution, which SciPy fits exactly: its search for the
        # Weibull parameters themselves stops early where the shape is as large as the translation makes it.
        location, width = gumbel_l.fit(np.log(tail + shift))
        return cls(shape=float(1 / width), scale=float(np.exp(location)), shift=float(shift))

    def cdf(self, values: Tensor) -> Tensor:
        """Return W of each value, in [0, 1]."""
        return -(-(((values + self.shift).clamp(min=0) / self.scale) ** self.shape)).expm1()
