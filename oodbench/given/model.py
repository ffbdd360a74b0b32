"""A classifier that somebody else trained, as a network that every post-hoc method can be scored on."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from oodbench.errors import ConfigError
from oodbench.hashing.code import code_digest
from oodbench.hashing.contents import content_digest
from oodbench.hashing.values import digest
from oodbench.jobs import ReadyNetwork

if TYPE_CHECKING:
    from oodbench.api import Need
    from oodbench.images import ImageSet

NORMALISATIONS: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "none": ((0.0,), (1.0,)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
"""Mean and standard deviation of each channel, for images in [0, 1], by the names that they may be given with."""

Normalisation: TypeAlias = "str | Sequence[float | Sequence[float]]"
"""As `normalisation` reads it."""


class GivenClassifier(nn.Module):
    """A classifier with its normalisation inside, so that methods see and change images in [0, 1].

    Its features are the input of one of its linear layers, and its head is that layer.

    Args:
        model: gives logits, shape (n, n_classes), for normalised images.
        mean: of each channel, or one for all.
        std: the same.
        layer: name of the linear layer whose output are the logits.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module, mean: Sequence[float], std: Sequence[float], layer: str) -> None:
        super().__init__()
        self.model, self.layer = model, layer
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def features(self, images: Tensor) -> Tensor:
        """Return what goes into the layer, shape (n, n_features), for images in [0, 1].

        Raises:
            ConfigError: the layer is not used, as that of an auxiliary classifier.
        """
        inputs: list[Tensor] = []
        hook = self.model.get_submodule(self.layer).register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
        try:
            self(images)
        finally:
            hook.remove()
        if not inputs:
            raise ConfigError(f"the layer {self.layer!r} takes no part in the logits; name the one that gives them")
        return inputs[-1]

    def head(self, features: Tensor) -> Tensor:
        """Return logits, shape (n, n_classes)."""
        logits: Tensor = self.model.get_submodule(self.layer)(features)
        return logits

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, shape (n, n_classes), for images in [0, 1]."""
        logits: Tensor = self.model((images - self.mean) / self.std)
        return logits


@dataclass(frozen=True, kw_only=True, eq=False)
class GivenModel:
    """A classifier of a user's own, ready to be scored.

    Attributes:
        classifier: in evaluation mode; its weights take no gradients.
        digest: hash of everything that it holds, of its code and of its normalisation.
        name: for messages and records.
        class_names: what its outputs stand for, in order; None where images come with the same classes in that order.
        facts: what it was given with, for records: name, weights, normalisation, layer of the features, class names.
    """

    classifier: GivenClassifier
    digest: str
    name: str
    class_names: tuple[str, ...] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        model: nn.Module,
        *,
        normalise: Normalisation,
        features: str | None = None,
        class_names: Sequence[str] | None = None,
        name: str = "",
        weights: str = "",
    ) -> GivenModel:
        """Return a copy of a model that is ready to be scored; the model itself stays as it is.

        Args:
            model: gives logits, shape (n, n_classes).
            normalise: what it was trained with, see `normalisation`.
            features: name of the linear layer whose input the features are; None for the last one.
            class_names: what its outputs stand for, in order; None for the order that images come with.
            name: for messages and records; "" for the name of its class.
            weights: where its weights came from, for records; "" where nobody said.

        Raises:
            ConfigError: it is no model or has no such layer, or the normalisation cannot be read.
        """
        if not isinstance(model, nn.Module):
            raise ConfigError(
                f"the model must be a torch.nn.Module, got {type(model).__name__}; build the network, and load its "
                "weights, first"
            )
        mean, std = normalisation(normalise)
        layer = features or _last_linear(model)
        if not isinstance(dict(model.named_modules()).get(layer), nn.Module):
            raise ConfigError(f"the model has no layer {layer!r}; its linear layers are: {', '.join(_linear(model))}")
        # Wherever and however precise the model is: methods compute in float32, on the device of the run.
        classifier = GivenClassifier(copy.deepcopy(model), mean, std, layer).to("cpu", torch.float32).eval()
        classifier.requires_grad_(requires_grad=False)
        key = digest([content_digest(classifier), code_digest(*classifier.modules())])
        names = None if class_names is None else tuple(class_names)
        name = name or type(model).__name__
        facts = {
            "name": name,
            "weights": weights,
            "normalise": normalise if isinstance(normalise, str) else _as_text(mean, std),
            "features": layer,
            "class_names": None if names is None else list(names),
        }
        return cls(classifier=classifier, digest=key, name=name, class_names=names, facts=facts)

    def ordered(self, images: ImageSet) -> ImageSet:
        """Return labelled images with their classes in the order of the model's outputs.

        Classes that are whole numbers say which output they are, counted from 0, where there are fewer of them than
        outputs or names; as many are in the order of their numbers. They get the model's names.

        Raises:
            ConfigError: there are no labels, or classes that the model does not have.
        """
        if images.labels is None:
            raise ConfigError(f"{images.name} needs labels: in-distribution images tell how well the model classifies")
        names = self.class_names
        if names is None and all(name.isdecimal() for name in images.class_names):
            n_outputs = self.check(images.shape)
            names = tuple(map(str, range(n_outputs))) if len(images.class_names) < n_outputs else None
        if names is None:
            return images
        if all(name.isdecimal() for name in images.class_names) and not set(images.class_names) <= set(names):
            return self._numbered(images, names)
        if unknown := set(images.class_names) - set(names):
            raise ConfigError(f"{images.name} has the class {min(unknown)!r}, which is not among the class names")
        order = np.array([names.index(name) for name in images.class_names])
        return replace(images, labels=order[images.labels], class_names=names)

    def _numbered(self, images: ImageSet, names: tuple[str, ...]) -> ImageSet:
        # As strings they are sorted 0, 1, 10, 11, 2, and some may be missing.
        outputs = np.array([int(name) for name in images.class_names])
        if outputs.max() >= len(names):
            raise ConfigError(
                f"{images.name} has the class {outputs.max()}, and {self._classes(len(names))}, for 0 to "
                f"{len(names) - 1}; name all classes of the model"
            )
        return replace(images, labels=outputs[images.labels], class_names=names)

    def _classes(self, n: int) -> str:
        return f"the model has {n} outputs" if self.class_names is None else f"{n} class names are given"

    def check(self, shape: tuple[int, int, int]) -> int:
        """Return the number of classes, after a trial with black images.

        Args:
            shape: channels, height and width of the images that will come.

        Raises:
            ConfigError: the model cannot take such images, does not return logits, or these do not come from the
                layer that gives the features.
        """
        images = torch.zeros(2, *shape, device=self.classifier.mean.device)
        size = "×".join(map(str, shape))
        if len(self.classifier.mean.flatten()) not in (1, shape[0]):
            raise ConfigError(
                f"the normalisation has {self.classifier.mean.numel()} channels, and the images have {shape[0]}"
            )
        with torch.no_grad():
            try:
                logits = self.classifier(images)
            except (RuntimeError, ValueError, AssertionError) as error:
                raise ConfigError(
                    f"the model {self.name} cannot take images of {size} ({_first_line(error)}); "
                    "give the size and channels it was trained on"
                ) from error
            if not isinstance(logits, Tensor) or logits.ndim != 2:
                raise ConfigError(
                    f"the model {self.name} must return logits of shape (n, n_classes), got {_kind(logits)}"
                )
            if not self._gives(logits, images):
                raise ConfigError(self._other_layer(logits))
        return int(logits.shape[1])

    def _other_layer(self, logits: Tensor) -> str:
        """Say what to do about logits that are not the output of the layer."""
        layer = self.classifier.layer
        others = [name for name in _linear(self.classifier.model) if name != layer]
        if not others or _are_probabilities(logits):
            return (
                f"the model {self.name} changes the output of its layer {layer!r} (a softmax at the end?); let it "
                "return logits"
            )
        return (
            f"the logits of {self.name} are not the output of its layer {layer!r}; name the layer that gives them, one "
            f"of: {', '.join(others)}"
        )

    def _gives(self, logits: Tensor, images: Tensor) -> bool:
        """Return whether logits are what the layer makes of the features, one vector an image."""
        try:
            features = self.classifier.features(images)
            again = self.classifier.head(features)
        except (ConfigError, RuntimeError):
            return False
        return features.ndim == 2 and again.shape == logits.shape and torch.allclose(again, logits, atol=1e-4)

    @property
    def offers(self) -> frozenset[Need]:
        """What methods may ask of it besides logits."""
        return frozenset({"features", "gradients"})

    def on(self, device: torch.device) -> ReadyNetwork:
        """Return it as a network on a device."""
        facts = {"seconds": 0.0, "device": "elsewhere"}
        return ReadyNetwork(module=self.classifier.to(device), digest=self.digest, facts=facts)


def normalisation(given: Normalisation) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation for images in [0, 1].

    Args:
        given: "none" for images in [0, 1] as they are, "imagenet", MEAN/STD with one number or one a channel, or a pair
            of these as numbers.

    Raises:
        ConfigError: it is nothing of the kind, or for images in [0, 255].

    >>> normalisation("0.5,0.5,0.5/0.25,0.25,0.25")
    ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    """
    if isinstance(given, str) and given in NORMALISATIONS:
        return NORMALISATIONS[given]
    parts: Any = [part.split(",") for part in given.split("/")] if isinstance(given, str) else given
    try:
        mean, std = (tuple(float(value) for value in np.atleast_1d(part)) for part in parts)
    except (TypeError, ValueError):
        mean, std = (), ()
    if len(mean) not in (1, 3) or len(std) != len(mean) or not all(0 < value < np.inf for value in std):
        raise ConfigError(
            f"the normalisation must be {', '.join(NORMALISATIONS)} or MEAN/STD, such as 0.5,0.5,0.5/0.25,0.25,0.25, "
            f"got {given!r}"
        )
    if max(mean) > 1:
        raise ConfigError(
            f"the normalisation is for images in [0, 1], got {given!r}: these look like values from 0 to 255; divide "
            "by 255"
        )
    if not all(0 <= value <= 1 for value in mean):
        raise ConfigError(f"the normalisation is for images in [0, 1], and so is its mean, got {given!r}")
    return mean, std


def _as_text(mean: Sequence[float], std: Sequence[float]) -> str:
    return "/".join(",".join(f"{value:g}" for value in part) for part in (mean, std))


def _linear(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]


def _last_linear(model: nn.Module) -> str:
    names = _linear(model)
    if not names:
        raise ConfigError(
            f"{type(model).__name__} has no linear layer; name the layer that gives the logits: features="
        )
    return names[-1]


def _are_probabilities(outputs: Tensor) -> bool:
    """Return whether outputs are those of a softmax, or their logarithms."""
    given = outputs if outputs.min() >= 0 else outputs.exp()
    return torch.allclose(given.sum(dim=1), torch.ones_like(given[:, 0]), atol=1e-4)


def _kind(thing: object) -> str:
    return f"a tensor of shape {tuple(thing.shape)}" if isinstance(thing, Tensor) else f"a {type(thing).__name__}"


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
