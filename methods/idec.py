"""Improved deep embedded clustering: clusters of codes from which images can still be drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from oodbench.api import Objective

from .dec import DEC, EmbeddedClustering


@dataclass(frozen=True, kw_only=True)
class IDEC(DEC):
    """Distance of an image's code to the nearest cluster, where the codes were also kept fit for reconstruction.

    Score: −min_j ‖z − μ_j‖², at most 0; or minus the reconstruction error, in [−1, 0].
    Source: Guo et al., IJCAI 2017, Eq. 6, with γ = 0.1; as a detector in "Skip the question you don't know" (Chen et
    al.), Section II-B and V.

    Attributes:
        score, clusters, code_dim, width, interval: as DEC.
        divergence_weight: γ, of the divergence, against the mean squared error of pixels.
    """

    title: ClassVar[str] = "Improved deep embedded clustering"
    source: ClassVar[str] = "Guo et al., IJCAI 2017, Eq. 6"

    divergence_weight: float = 0.1

    @property
    def networks(self) -> tuple[Objective, ...]:
        """One auto-encoder with clusters, which starts from one without."""
        objective = EmbeddedClustering(
            clusters=self.clusters,
            divergence_weight=self.divergence_weight,
            reconstruction_weight=1.0,
            code_dim=self.code_dim,
            width=self.width,
            interval=self.interval,
        )
        return (objective,)
