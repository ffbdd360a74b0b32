"""A classifier that somebody else trained, as a network that every post-hoc method can be scored on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from oodbench.errors import ConfigError
from oodbench.hashing.code import code_digest
from oodbench.hashing.contents import content_digest
from oodbench.hashing.installed import is_installed, versions_of
from oodbench.hashing.values import digest
from oodbench.jobs import ReadyNetwork

from .classifier import GivenClassifier
from .copying import as_module, copied, unwrapped
from .labels import class_names_of
from .normalisation import Normalisation, normalisation
from .preprocessing import preprocessing
from .trial import Trial, check_layer, tried, with_features

if TYPE_CHECKING:
    from oodbench.api import Need
    from oodbench.images import Conversion, ImageSet


@dataclass(frozen=True, kw_only=True, eq=False)
class GivenModel:
    """A classifier of a user's own, ready to be scored.

    Attributes:
        classifier: in evaluation mode; its weights take no gradients.
        digest: hash of everything that it holds, of its code and of its normalisation.
        name: for messages and records.
        class_names: what its outputs stand for, in order; None where images come with the same classes in that order.
        features: name of the layer that gives the logits, as it was asked for; None for the last one that does.
        facts: what it was given with, for records: name, weights, normalisation, preprocessing, class names.
        conversion: how its images are prepared; None for brought to a size that is given apart.
    """

    classifier: GivenClassifier
    digest: str
    name: str
    class_names: tuple[str, ...] | None = None
    features: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    conversion: Conversion | None = None
    _trials: dict[tuple[int, int, int], Trial] = field(default_factory=dict, init=False, repr=False)

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
        conversion: Conversion | None = None,
    ) -> GivenModel:
        """Return a copy of a model that is ready to be scored; the model itself stays as it is.

        Args:
            model: gives logits, shape (n, n_classes).
            normalise: what it was trained with, see `normalisation`.
            features: name of the linear layer whose input the features are, or of a part that it is in; None for the
                last one that gives the logits, if any.
            class_names: what its outputs stand for, in order; None for the order that images come with.
            name: for messages and records; "" for the name of its class.
            weights: where its weights came from, for records; "" where nobody said.
            conversion: how its images are prepared; None for brought to a size that is given apart.

        Raises:
            ConfigError: it is no model or has no such layer, or the normalisation cannot be read.
        """
        module = as_module(model)
        if not isinstance(module, nn.Module):
            raise ConfigError(
                f"the model must be a torch.nn.Module, got {type(model).__name__}; build the network, and load its "
                "weights, first"
            )
        mean, std = normalisation(normalise)
        module = unwrapped(module)
        name = name or type(module).__name__
        check_layer(module, features)
        # Wherever and however precise the model is: methods compute in float32, on the device of the run.
        classifier = GivenClassifier(copied(module, name), mean, std).eval()
        classifier.requires_grad_(requires_grad=False)
        key = digest([content_digest(classifier), features, *_code(classifier)])
        names = None if class_names is None else tuple(class_names)
        facts = {
            "name": name,
            "weights": weights,
            "normalise": normalise if isinstance(normalise, str) else _as_text(mean, std),
            "preprocess": "stretch" if conversion is None else conversion.in_words,
            "class_names": None if names is None else list(names),
        }
        return cls(
            classifier=classifier,
            digest=key,
            name=name,
            class_names=names,
            features=features,
            facts=facts,
            conversion=conversion,
        )

    @property
    def in_words(self) -> str:
        """What it takes of images, in a line."""
        weights = f", weights {self.facts['weights']}" if self.facts["weights"] else ""
        return f"{self.name}{weights}: images by {self.facts['preprocess']}, normalised with {self.facts['normalise']}"

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
        """Return the number of classes, after a trial with images of noise.

        Args:
            shape: channels, height and width of the images that will come.

        Raises:
            ConfigError: as `oodbench.given.trial.tried`.
        """
        return self._trial(shape).n_classes

    def offers(self, shape: tuple[int, int, int]) -> frozenset[Need]:
        """Return what methods may ask of it besides logits, for images of a shape."""
        trial = self._trial(shape)
        offered: list[Need] = ["features"] if trial.layer else []
        return frozenset([*offered, "gradients"] if trial.gradients else offered)

    def facts_on(self, shape: tuple[int, int, int]) -> dict[str, Any]:
        """Return what it was given with, and the layer whose input the features are; "" where it has none."""
        return {**self.facts, "features": self._trial(shape).layer}

    def classifier_on(self, shape: tuple[int, int, int]) -> GivenClassifier:
        """Return the classifier as methods see it, with features where it has them."""
        layer = self._trial(shape).layer
        return with_features(self.classifier, layer) if layer else self.classifier

    def on(self, device: torch.device, shape: tuple[int, int, int]) -> ReadyNetwork:
        """Return it as a network on a device, for images of a shape."""
        facts = {"seconds": 0.0, "device": "elsewhere"}
        # Channels last, as networks that are trained here: convolutions are faster so.
        module = self.classifier_on(shape).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return ReadyNetwork(module=module, digest=self.digest, facts=facts)

    def _trial(self, shape: tuple[int, int, int]) -> Trial:
        if shape not in self._trials:
            self._trials[shape] = tried(self.classifier, shape, self.name, self.features)
        return self._trials[shape]


def prepared(
    model: nn.Module, said: Mapping[str, Any], *, comes_with: Any = None, name: str = "", weights: str = ""
) -> GivenModel:
    """Return a model that is ready to be scored, as the options of a run describe it.

    Args:
        model: gives logits; it stays as it is.
        said: all of `oodbench.options.GivenModelOptions`.
        comes_with: what a hub says of its images, for "auto".
        name: for messages and records; "" for the name of its class.
        weights: where its weights came from, for records.

    Raises:
        ConfigError: it is no model, or what is said of it cannot be.
    """
    module = as_module(model)
    given: Any = module if isinstance(module, nn.Module) else model
    images = preprocessing(said["preprocess"], given, comes_with)
    return GivenModel.of(
        given,
        normalise=images.with_normalisation(said["normalise"]),
        features=said["features"],
        class_names=class_names_of(said["class_names"], said["labels"], given),
        name=name,
        weights=weights,
        conversion=images.conversion,
    )


def _as_text(mean: Sequence[float], std: Sequence[float]) -> str:
    return "/".join(",".join(f"{value:g}" for value in part) for part in (mean, std))


def _code(classifier: GivenClassifier) -> tuple[str, Mapping[str, str]]:
    """Return a hash of the code of a model that is nobody's package, and the versions of the packages besides."""
    kinds = dict.fromkeys(type(module) for module in classifier.modules())
    own = [kind for kind in kinds if not is_installed(kind.__module__)]
    return code_digest(*own), versions_of(kind.__module__ for kind in kinds)
