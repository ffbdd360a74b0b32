"""Energy after the strongest direction of the last feature maps is removed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, cast

from oodbench.api import FitInputs, Network
from oodbench.errors import ConfigError
from oodbench.posthoc import LogitMethod, PostHocDetector, PostHocMethod

from ._shaping import LogitScore, logit_method

if TYPE_CHECKING:
    from torch import Tensor, nn

    from oodbench.batch import Batch


@dataclass(frozen=True, kw_only=True)
class RankFeat(PostHocMethod):
    """Rank-1 feature removal: what the largest singular value of a feature map adds to it is taken away.

    A map as a matrix X with a row a channel and a column a position becomes X − σ₁u₁v₁ᵀ, and the rest of the network
    goes on from there. Score: by default log Σ_k exp(f_k), the negative energy at temperature 1, of the mean f of the
    logits that this gives in each of two layers.
    Source: Song et al., NeurIPS 2022 (fusion of blocks 3 and 4); checked against the public code,
    KingJamesSong/RankFeat.

    The network runs once more for each layer, so that any network will do. The paper's layers are the last two stages
    of a ResNet, and here the last two resolutions with more than one position; pytorch-ood takes one, which is
    layers=NAME. The power iteration of the public code, a faster approximation, is left out.
    Images are classified by their unchanged logits, so that the accuracy is that of the network.

    Attributes:
        layers: "last" for the last two maps, or names of modules, each of which is changed on its own.
        score: how the logits are scored: energy, msp, max_logit, entropy, gen or doctor.
    """

    title: ClassVar[str] = "Rank-1 feature removal (RankFeat)"
    source: ClassVar[str] = "Song et al., NeurIPS 2022; code KingJamesSong/RankFeat"

    layers: Literal["last"] | tuple[str, ...] = "last"
    score: LogitScore = "energy"

    def __post_init__(self) -> None:
        if not self.layers or not all(self.layers):
            raise ConfigError("layers must be last, or names of modules separated by commas")
        logit_method(self.score)

    def fit(self, inputs: FitInputs) -> RankFeatDetector:
        """Return a detector at once: there is nothing to fit.

        Raises:
            ConfigError: the network has no such layers.
        """
        from ._layers import check_layers

        images = inputs.train.at(slice(8)).images
        layers = _last_maps(inputs.network, images) if self.layers == "last" else tuple(self.layers)
        check_layers(inputs.network, images, layers, penultimate=False)
        return RankFeatDetector(network=inputs.network, layers=layers, method=logit_method(self.score))


def _last_maps(network: Network, images: Tensor) -> tuple[str, ...]:
    """Return the last modules at the last two resolutions with more than one position.

    Raises:
        ConfigError: there is none.
    """
    from ._layers import maps_of_each_resolution

    if maps := maps_of_each_resolution(network, images, stem=False, least_positions=2):
        return maps[-2:]
    raise ConfigError("rankfeat needs a layer that gives maps, and this network has none; leave rankfeat out")


@dataclass(frozen=True, kw_only=True, eq=False)
class RankFeatDetector(PostHocDetector):
    """Score of the logits of changed maps.

    Attributes:
        network: the trained classifier.
        layers: names of the modules whose maps are changed, one in each pass.
        method: scores the mean of the logits.
    """

    network: Network
    layers: tuple[str, ...]
    method: LogitMethod

    def score(self, batch: Batch) -> Tensor:
        """Return the score of the mean logits, shape (n,)."""
        import torch

        return torch.cat([self.method.score_logits(logits) for logits in batch.in_passes(self._mean_logits)])

    def _mean_logits(self, batch: Batch) -> Tensor:
        import torch

        images = batch.images
        return torch.stack([self._logits(images, layer) for layer in self.layers]).mean(dim=0)

    def _logits(self, images: Tensor, layer: str) -> Tensor:
        import torch

        from ._hooks import hooked
        from ._layers import by_position, from_positions, known_layout

        def see(name: str, output: Tensor) -> Tensor:
            kind = known_layout(name, output, tuple(images.shape))
            return from_positions(without_largest(by_position(output, kind)), output, kind)

        with torch.no_grad(), hooked(cast("nn.Module", self.network), [layer], see):
            return self.network.head(self.network.features(images))


def without_largest(matrices: Tensor) -> Tensor:
    """Return X − σ₁u₁v₁ᵀ for each of some matrices, shape (n, rows, columns)."""
    import torch

    wide = matrices.shape[1] < matrices.shape[2]
    tall = matrices.double().transpose(1, 2) if wide else matrices.double()
    # The last eigenvector of XᵀX, which is smaller than X, is v₁, and X v₁ is σ₁u₁.
    direction = torch.linalg.eigh(tall.transpose(1, 2) @ tall).eigenvectors[:, :, -1:]
    rest: Tensor = tall - tall @ direction @ direction.transpose(1, 2)
    return (rest.transpose(1, 2) if wide else rest).to(matrices.dtype)
