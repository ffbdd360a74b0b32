"""How often training images have excited the neurons as an image does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, cast

from oodbench.api import FitInputs, Need, Network
from oodbench.errors import ConfigError
from oodbench.posthoc import PostHocDetector, PostHocMethod

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from oodbench.batch import Batch

STATES_AT_ONCE = 2**23
"""How many states are held in memory, 64 MiB in float64."""
Spacing = Literal["middle", "ends"]


@dataclass(frozen=True, kw_only=True)
class NAC(PostHocMethod):
    """Neuron activation coverage: the share of an image's neurons whose state training images have shown often.

    A neuron's state is sigmoid(α·z·∂KL/∂z), with z its activation, summed over space, and ∂KL/∂z the gradient of
    KL(u ‖ softmax f), u uniform, summed over space. Coverage counts in which of M bins between 0 and 1 the states of
    training images fall. Score: the mean over neurons of min(count of the bin / O, 1), averaged over layers.
    Source: Liu et al., ICLR 2024 (NAC-UE); checked against the public code, BierOne/ood_coverage.

    The default is the penultimate layer alone, whose gradient Wᵀ(p − u) needs no backward pass, with α = 100, M = 50,
    O = 50 and 1000 training images, as in the public code for CIFAR-10. That code searches α, M and O for each layer
    with OOD validation images, and adds up to three more layers; layers="all" or names take inner layers as well, in a
    forward and a backward pass an image. Its bins are narrow around 1/2, which is where the state of a neuron without
    effect is; those of pytorch-ood (spacing=ends) are narrow at 0 and 1, and it averages the product over space.

    Attributes:
        layers: "penultimate"; "all" for the stem, the last module at each spatial resolution and the penultimate layer;
            or names of modules, with "penultimate" for the features.
        alpha: α; one for all layers, or one a layer.
        bins: M.
        full: O, from which count on a bin is covered; one for all layers, or one a layer.
        spacing: where bins are narrow: in the "middle" or at the "ends".
        fit_images: this many training images, as many of each class, drawn from the seed, are counted.
    """

    title: ClassVar[str] = "Neuron activation coverage (NAC)"
    source: ClassVar[str] = "Liu et al., ICLR 2024; code BierOne/ood_coverage"
    # What the public code searches for the last layer, on CIFAR-10, CIFAR-100 and ImageNet together.
    grid: ClassVar[Mapping[str, tuple[object, ...]]] = {
        "alpha": ((1.0,), (50.0,), (100.0,), (3000.0,)),
        "bins": (50, 500),
        "full": ((10.0,), (50.0,), (500.0,)),
    }

    layers: Literal["penultimate", "all"] | tuple[str, ...] = "penultimate"
    alpha: tuple[float, ...] = (100.0,)
    bins: int = 50
    full: tuple[float, ...] = (50.0,)
    spacing: Spacing = "middle"
    fit_images: int = 1000

    def __post_init__(self) -> None:
        if not self.layers or not all(self.layers):
            raise ConfigError("layers must be penultimate, all, or names of modules separated by commas")
        for name in ("alpha", "full"):
            values = getattr(self, name)
            if not values or not all(value > 0 for value in values):
                raise ConfigError(f"{name} must be positive, one number or one a layer, got {values}")
        if self.bins < 4:
            raise ConfigError(f"bins must be at least 4, got {self.bins}")
        if self.spacing not in ("middle", "ends"):
            raise ConfigError(f"spacing must be middle or ends, got {self.spacing!r}")
        if self.fit_images < 1:
            raise ConfigError(f"fit_images must be at least 1, got {self.fit_images}")

    @property
    def needs(self) -> frozenset[Need]:  # type: ignore[override]  # a base that says it once for all its settings
        """What every method of features needs, and gradients where inner layers are looked at."""
        return PostHocMethod.needs if self._penultimate_alone else PostHocMethod.needs | {"gradients"}

    @property
    def _penultimate_alone(self) -> bool:
        return self.layers in ("penultimate", ("penultimate",))

    def fit(self, inputs: FitInputs) -> NACDetector:
        """Return a detector with the counts of training images.

        Raises:
            ConfigError: the network has no such layers, or not as many as α or O have values.
        """
        import torch

        states = self._states(inputs)
        edges = torch.as_tensor(bin_edges(self.bins, self.spacing), device=inputs.train.device)
        bins = Bins(edges=edges)
        counts: list[Tensor] = []
        for parts in states.of(_balanced(inputs, self.fit_images)):
            found = [bins.counts(part) for part in parts]
            counts = [total + more for total, more in zip(counts, found, strict=True)] if counts else found
        full = _one_a_layer(self.full, len(counts), "full")
        covered = tuple((count / o).clamp(max=1) for count, o in zip(counts, full, strict=True))
        return NACDetector(states=states, bins=bins, covered=covered)

    def _states(self, inputs: FitInputs) -> PenultimateStates | InnerStates:
        from ._layers import check_layers, last_of_each_resolution

        layers: tuple[str, ...]
        if self._penultimate_alone:
            from ._affine_head import affine_head

            weights, _ = affine_head(inputs.network, inputs.train, "nac")
            return PenultimateStates(weights=weights, alpha=_one_a_layer(self.alpha, 1, "alpha")[0])
        images = inputs.train.at(slice(8)).images
        if self.layers == "all":
            layers = last_of_each_resolution(inputs.network, images)
        else:
            layers = tuple(self.layers)
            check_layers(inputs.network, images, layers)
        return InnerStates(network=inputs.network, layers=layers, alpha=_one_a_layer(self.alpha, len(layers), "alpha"))


def _one_a_layer(values: tuple[float, ...], n_layers: int, name: str) -> tuple[float, ...]:
    if len(values) == 1:
        return values * n_layers
    if len(values) != n_layers:
        raise ConfigError(f"nac.{name} has {len(values)} values for {n_layers} layers; give one, or one a layer")
    return tuple(values)


def _balanced(inputs: FitInputs, n: int) -> Batch:
    """Return up to n training images, as many of each class as there are, drawn from the seed."""
    import numpy as np

    labels = inputs.train.labels
    assert labels is not None  # the engine only fits on labelled images
    if n >= len(labels):
        return inputs.train
    of_classes = [np.flatnonzero((labels == label).cpu().numpy()) for label in range(inputs.n_classes)]
    each = max(1, min(n // inputs.n_classes, *map(len, of_classes)))
    rng = np.random.default_rng(inputs.seed)
    return inputs.train.at(np.sort(np.concatenate([rng.permutation(members)[:each] for members in of_classes])))


def bin_edges(bins: int, spacing: Spacing) -> NDArray[np.float64]:
    """Return the inner edges of bins between 0 and 1, in ascending order.

    "middle": bins − 3 edges at log(1 + i·(√1000 − 1) / (bins/2 − 1)) / log 1000 for i ≥ 1 up to 1/2, and at 1 minus
    these, as in the public code, which has one more bin beyond 1. "ends": bins − 1 edges, in equal steps of their
    logarithm from 1e-6 to 1/2, and at 1 minus these, as in pytorch-ood.
    """
    import numpy as np

    if spacing == "middle":
        half = bins // 2
        left = np.log(np.linspace(1, np.sqrt(1e3), half)) / np.log(1e3)
        left[-1] = 0.5
        return np.concatenate([left[1:], 1 - left[1:-1][::-1]])
    half = bins // 2
    left = np.logspace(-6, np.log10(0.5), half + 1)
    left[-1] = 0.5
    return np.concatenate([left[1:], 1 - left[1:-1][::-1]])


@dataclass(frozen=True, kw_only=True, eq=False)
class Bins:
    """Bins between 0 and 1.

    Attributes:
        edges: the inner ones in ascending order, float64, shape (n_bins − 1,).
    """

    edges: Tensor

    def of(self, states: Tensor) -> Tensor:
        """Return the bin that each state is in, int64, of the same shape; one on an edge is in the bin above."""
        import torch

        return torch.bucketize(states.contiguous(), self.edges, right=True)

    def counts(self, states: Tensor) -> Tensor:
        """Return how many states of each neuron are in each bin, float64 of shape (n_neurons, n_bins).

        Args:
            states: shape (n, n_neurons).
        """
        import torch

        places = self.of(states).T
        counts = torch.zeros((len(places), len(self.edges) + 1), dtype=torch.float64, device=states.device)
        return counts.scatter_add(1, places, torch.ones_like(places, dtype=torch.float64))


@dataclass(frozen=True, kw_only=True, eq=False)
class PenultimateStates:
    """States of the penultimate layer, from stored features and logits.

    Attributes:
        weights: W, float64, shape (n_classes, n_features).
        alpha: α.
    """

    weights: Tensor
    alpha: float

    def of(self, batch: Batch) -> Iterator[list[Tensor]]:
        """Yield the states, float64 of shape (n, n_features) in a list of one, for parts of a batch."""
        for part in batch.split(max(1, STATES_AT_ONCE // self.weights.shape[1])):
            probabilities = part.logits.double().softmax(dim=1)
            gradient = (probabilities - 1 / probabilities.shape[1]) @ self.weights
            yield [(self.alpha * part.features.double() * gradient).sigmoid()]


@dataclass(frozen=True, kw_only=True, eq=False)
class InnerStates:
    """States of any layers, from a forward and a backward pass.

    Attributes:
        network: the trained classifier.
        layers: names of modules, or "penultimate".
        alpha: α of each.
    """

    network: Network
    layers: tuple[str, ...]
    alpha: tuple[float, ...]

    def of(self, batch: Batch) -> Iterator[list[Tensor]]:
        """Yield the states of each layer, float64 of shape (n, n_neurons), for parts of a batch."""
        return batch.in_passes(self._of_part)

    def _of_part(self, batch: Batch) -> list[Tensor]:
        import torch

        from ._hooks import hooked
        from ._layers import PENULTIMATE, by_position, known_layout

        images, found = batch.images, {}

        def see(name: str, output: Tensor) -> Tensor:
            found[name] = output
            # A copy goes on: a later module may work in place on the same memory.
            return output.clone()

        with torch.enable_grad(), hooked(cast("nn.Module", self.network), set(self.layers) - {PENULTIMATE}, see):
            found[PENULTIMATE] = self.network.features(images.requires_grad_())
            log_probabilities = self.network.head(found[PENULTIMATE]).log_softmax(dim=1)
            values = [found[layer] for layer in self.layers]
            gradients = torch.autograd.grad(-log_probabilities.mean(dim=1).sum(), values)
        states = []
        for layer, alpha, value, gradient in zip(self.layers, self.alpha, values, gradients, strict=True):
            kind = known_layout(layer, value, tuple(images.shape))
            sums = [by_position(part.detach().double(), kind).sum(dim=2) for part in (value, gradient)]
            states.append((alpha * sums[0] * sums[1]).sigmoid())
        return states


@dataclass(frozen=True, kw_only=True, eq=False)
class NACDetector(PostHocDetector):
    """Coverage of an image's neurons.

    Attributes:
        states: of the neurons of each layer.
        bins: which the states are in.
        covered: how much training images cover each bin of each neuron, for each layer, float64 in [0, 1], shape
            (n_neurons, n_bins).
    """

    states: PenultimateStates | InnerStates
    bins: Bins
    covered: tuple[Tensor, ...]

    def score(self, batch: Batch) -> Tensor:
        """Return the mean coverage, float64 of shape (n,), in [0, 1]."""
        import torch

        return torch.cat([self._of_states(states) for states in self.states.of(batch)])

    def _of_states(self, states: list[Tensor]) -> Tensor:
        import torch

        layers = zip(self.covered, states, strict=True)
        coverages = [covered.gather(1, self.bins.of(part).T).mean(dim=0) for covered, part in layers]
        return torch.stack(coverages).mean(dim=0)
