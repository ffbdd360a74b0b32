"""Out-of-distribution mining: metric learning that also pushes seen OOD images away."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from oodbench.api import Objective, Sees

from .contrastive import Contrastive
from .ml import ML


@dataclass(frozen=True, kw_only=True)
class ODM(ML):
    """Metric learning with pairs of an in-distribution and a seen out-of-distribution image ("Ours-ODM").

    Score and class: as ML.
    Source: Masana et al., BMVC 2018, Section 3.2, Eq. 2; shares of pairs from Section 4.1 and the public code.

    Attributes:
        ood_batches, ood_share: of the objective, see `Contrastive`. The defaults put OOD images into every second
            batch, one quarter of it, so that (ID, OOD) pairs are a quarter of all pairs.
        seen: which of the benchmark's seen OOD images are mined; None for the benchmark's first.
    """

    title: ClassVar[str] = "Metric learning with out-of-distribution mining"
    source: ClassVar[str] = "Masana et al., BMVC 2018, Eq. 2"
    sees: ClassVar[frozenset[Sees]] = frozenset({"seen_ood"})

    ood_batches: float = 0.5
    ood_share: float = 0.25
    seen: str | None = None

    @property
    def networks(self) -> tuple[Objective, ...]:
        """One, trained contrastively on ID pairs and pairs of an ID and a seen OOD image."""
        (base,) = super().networks
        assert isinstance(base, Contrastive)  # what ML returns
        return (replace(base, ood_batches=self.ood_batches, ood_share=self.ood_share),)
