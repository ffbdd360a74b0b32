"""Mahalanobis distance to the nearest class, in one layer or in several."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from oodbench.api import FitInputs, Need, Network, Objective, Sees
from oodbench.errors import ConfigError
from oodbench.objectives import CrossEntropy
from oodbench.tuning import Tune, drawn, ood_samples, seen_in_tuning

if TYPE_CHECKING:
    from torch import Tensor

    from oodbench.batch import Batch

    from ._gaussians import TiedGaussians


@dataclass(frozen=True, kw_only=True)
class Mahalanobis:
    """Mahalanobis distance to the nearest of the class-conditional Gaussians, on the network that MSP uses.

    Score of a layer: M_ℓ(x) = −min_k (f_ℓ(x) − μ_ℓk)ᵀ Σ_ℓ⁻¹ (f_ℓ(x) − μ_ℓk), with μ_ℓk the class means and Σ_ℓ the tied
    covariance of its activations f_ℓ, averaged over space. Score: Σ_ℓ a_ℓ·M_ℓ(x̂_ℓ) + b after the step
    x̂_ℓ = x + ε·sign(∇ₓ M_ℓ(x)), with a and b from a logistic regression; M_ℓ(x̂_ℓ) itself where there is one layer.
    Source: Lee et al., NeurIPS 2018, Eq. 1 and 2, Algorithm 1; survey (Salehi et al.) §6.3, Eq. 62.

    The paper's full form is layers="all" with an ε above 0, both the weights of the layers and ε chosen on images of
    the OOD test set or, without any OOD images, on adversarial ones. The default here is its plain form, which sees
    nothing besides the training images and reads the stored features; weights learnt on adversarial images may come
    out negative, and then images that are far in that layer score higher the farther they are.
    Images are classified by the network's largest logit.

    Attributes:
        layers: "penultimate"; "all" for the stem, the last module at each spatial resolution and the penultimate layer;
            or names of modules, with "penultimate" for the features.
        epsilon: ε in units of the [0, 1] pixel range; the paper tries 0 to 0.01.
        tune: what the logistic regression tells held-out ID images from, where there are several layers: "fgsm" (the
            same images after an adversarial step), "seen" (seen OOD training images), "val" (the benchmark's validation
            OOD images) or "test" (the OOD test sets; such rows are marked).
        tune_images: at most this many images of each set are looked at, drawn from the seed.
        fgsm_step: size of the adversarial step in units of the [0, 1] pixel range, as in the paper's code.
    """

    title: ClassVar[str] = "Mahalanobis distance to the nearest class"
    source: ClassVar[str] = "Lee et al., NeurIPS 2018, Eq. 2, Alg. 1"
    needs: ClassVar[frozenset[Need]] = frozenset({"classes", "features", "training_images"})

    layers: Literal["penultimate", "all"] | tuple[str, ...] = "penultimate"
    epsilon: float = 0.0
    tune: Literal["fgsm", "seen", "val", "test"] = "fgsm"
    tune_images: int = 1000
    fgsm_step: float = 0.05

    def __post_init__(self) -> None:
        if not self.layers or not all(self.layers):
            raise ConfigError("layers must be penultimate, all, or names of modules separated by commas")
        if self.epsilon < 0:
            raise ConfigError(f"epsilon must be a number from 0 up, got {self.epsilon}")
        if not self.fgsm_step > 0:
            raise ConfigError(f"fgsm_step must be positive, got {self.fgsm_step}")
        if self.tune_images < 1:
            raise ConfigError(f"tune_images must be at least 1, got {self.tune_images}")

    @property
    def networks(self) -> tuple[Objective, ...]:
        """One, trained by cross-entropy: it is the one that MSP uses."""
        return (CrossEntropy(),)

    @property
    def _one_layer(self) -> bool:
        return self.layers == "penultimate" or (self.layers != "all" and len(self.layers) == 1)

    @property
    def sees(self) -> frozenset[Sees]:
        """Held-out ID images, and what `tune` names; nothing where there is one layer."""
        if self._one_layer:
            return frozenset()
        return seen_in_tuning(self.tune)

    def tuned(self, tune: Tune) -> Mahalanobis:
        """Return the method that weighs its layers as a word says; one layer has nothing to choose."""
        return self if self._one_layer else replace(self, tune="fgsm" if tune == "id" else tune)

    def fit(self, inputs: FitInputs) -> MahalanobisDetector:
        """Fit the Gaussians of each layer, and the weights of the layers where there are several."""
        layers = LayerScores.of(inputs, self._names(inputs), epsilon=self.epsilon)
        if self._one_layer:
            return MahalanobisDetector(layers=layers, combination=None)
        validation = inputs.validation
        if validation is None:
            raise ConfigError(
                "mahalanobis needs held-out ID images to weigh several layers, and this benchmark holds none out; "
                "take one layer: --set mahalanobis.layers=penultimate"
            )
        validation = drawn(validation, self.tune_images, inputs.seed)
        negatives = self._negatives(inputs, layers, validation)
        return MahalanobisDetector(layers=layers, combination=_combination(layers.of_batch(validation), negatives))

    def _names(self, inputs: FitInputs) -> tuple[str, ...]:
        from ._layers import check_layers, last_of_each_resolution

        if self.layers == "penultimate":
            return ("penultimate",)
        images = inputs.train.at(slice(8)).images
        if self.layers == "all":
            return last_of_each_resolution(inputs.network, images)
        names = tuple(self.layers)
        check_layers(inputs.network, images, names)
        return names

    def _negatives(self, inputs: FitInputs, layers: LayerScores, validation: Batch) -> Tensor:
        import torch

        if self.tune == "fgsm":
            step = self.fgsm_step
            return torch.cat(
                list(validation.in_passes(lambda part: layers.of_images(_adversarial(inputs.network, part, step))))
            )
        samples = ood_samples(inputs, self.tune, self.tune_images, name="mahalanobis", otherwise="fgsm")
        return torch.cat([layers.of_batch(sample) for sample in samples])


def _adversarial(network: Network, batch: Batch, step: float) -> Tensor:
    """Return images after a step up the gradient of the cross-entropy (FGSM), clipped to [0, 1].

    Source: Goodfellow et al., ICLR 2015, Section 4.
    """
    import torch
    from torch.nn.functional import cross_entropy

    labels = batch.labels
    assert labels is not None  # held-out ID images have labels
    with torch.enable_grad():
        images = batch.images.requires_grad_()
        (gradient,) = torch.autograd.grad(cross_entropy(network(images), labels, reduction="sum"), images)
    return (images.detach() + step * gradient.sign()).clamp(0, 1)


def _combination(scores_id: Tensor, scores_ood: Tensor) -> Any:
    """Return a logistic regression that tells ID layer scores, shape (n, n_layers), from others."""
    import torch
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    is_id = [1] * len(scores_id) + [0] * len(scores_ood)
    scores = torch.cat([scores_id, scores_ood]).cpu().numpy()
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(scores, is_id)


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerScores:
    """The score M_ℓ of each layer.

    Attributes:
        network: the trained classifier.
        names: of the layers.
        gaussians: of each layer.
        epsilon: the step ε, in units of the [0, 1] pixel range.
    """

    network: Network
    names: tuple[str, ...]
    gaussians: tuple[TiedGaussians, ...]
    epsilon: float

    @classmethod
    def of(cls, inputs: FitInputs, names: tuple[str, ...], *, epsilon: float) -> LayerScores:
        """Return the scores of layers with Gaussians fitted to the training images."""
        import torch

        from ._gaussians import TiedGaussians

        if names == ("penultimate",):
            otherwise = "take other layers: --set mahalanobis.layers=all"
            only = TiedGaussians.of_batch(inputs.train, inputs.n_classes, "mahalanobis", otherwise)
            return cls(network=inputs.network, names=names, gaussians=(only,), epsilon=epsilon)
        labels = inputs.train.labels
        assert labels is not None  # the engine only fits on labelled images
        parts = zip(*_activations(inputs.network, inputs.train, names), strict=True)
        gaussians = tuple(TiedGaussians.of(torch.cat(layer), labels, inputs.n_classes) for layer in parts)
        return cls(network=inputs.network, names=names, gaussians=gaussians, epsilon=epsilon)

    def of_batch(self, batch: Batch) -> Tensor:
        """Return M_ℓ(x̂_ℓ) of each layer, float64 of shape (n, n_layers)."""
        import torch

        if self.epsilon == 0:
            parts = _activations(self.network, batch, self.names)
            return torch.cat([self._of_activations(part) for part in parts])
        return torch.cat(list(batch.in_passes(lambda part: self.of_images(part.images))))

    def of_images(self, images: Tensor) -> Tensor:
        """Return M_ℓ(x̂_ℓ) of each layer, float64 of shape (n, n_layers), from images in one backward pass a layer."""
        import torch

        from ._layers import activations

        if self.epsilon == 0:
            with torch.no_grad():
                return self._of_activations(activations(self.network, images, self.names))
        return torch.stack([self._after_step(images, i) for i in range(len(self.names))], dim=1)

    def _of_activations(self, values: list[Tensor]) -> Tensor:
        import torch

        layers = zip(self.gaussians, values, strict=True)
        return torch.stack([-gaussians.squared_distances(value).amin(dim=1) for gaussians, value in layers], dim=1)

    def _after_step(self, images: Tensor, layer: int) -> Tensor:
        import torch

        from ._layers import activations

        def confidence(images: Tensor) -> Tensor:
            (value,) = activations(self.network, images, (self.names[layer],))
            return -self.gaussians[layer].squared_distances(value).amin(dim=1)

        with torch.enable_grad():
            images = images.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(confidence(images).sum(), images)
        # As in the paper's code, x̂ is not clipped to [0, 1].
        with torch.no_grad():
            return confidence(images.detach() + self.epsilon * gradient.sign())


def _activations(network: Network, batch: Batch, names: tuple[str, ...]) -> Iterator[list[Tensor]]:
    """Yield the activations of layers, a part of the batch at a time; stored features need no forward pass."""
    import torch

    from ._layers import activations

    if names == ("penultimate",):
        return iter([[batch.features]])

    def one_pass(part: Batch) -> list[Tensor]:
        with torch.no_grad():
            return activations(network, part.images, names)

    return batch.in_passes(one_pass)


@dataclass(frozen=True, kw_only=True, eq=False)
class MahalanobisDetector:
    """Mahalanobis distances with fitted Gaussians.

    Attributes:
        layers: the score of each layer.
        combination: a fitted logistic regression on them; None where there is one layer.
    """

    layers: LayerScores
    combination: Any

    def score(self, batch: Batch) -> Tensor:
        """Return M_ℓ of the one layer, at most 0, or the log-odds of in-distribution; float64 of shape (n,)."""
        import torch

        scores = self.layers.of_batch(batch)
        if self.combination is None:
            return scores[:, 0]
        return torch.tensor(self.combination.decision_function(scores.cpu().numpy()), device=batch.device)

    def classify(self, batch: Batch) -> Tensor:
        """Return the index of the largest logit of the unchanged images, shape (n,)."""
        return batch.logits.argmax(dim=1)
