"""Models of hubs, by name: timm, torchvision and Hugging Face, where their packages are installed."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from oodbench.errors import ConfigError

HUBS: Mapping[str, str] = {"timm": "timm", "torchvision": "torchvision", "hf": "transformers"}
"""The prefix of a name, and the package that it takes."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Hubbed:
    """A model, and what the hub that it comes from says of it.

    Attributes:
        model: built.
        preprocessing: what says how its images are prepared, in one of the forms that
            `oodbench.given.preprocessing.of_model` reads; None where only the model may know.
    """

    model: nn.Module
    preprocessing: Any = None


def from_hub(hub: str, name: str, arguments: Mapping[str, Any], *, pretrained: bool) -> Hubbed:
    """Return a model of a hub.

    Args:
        hub: one of `HUBS`.
        name: of the model there.
        arguments: for its builder, such as num_classes.
        pretrained: whether the hub's weights are loaded.

    Raises:
        ConfigError: the hub's package is not installed.
    """
    try:
        package = importlib.import_module(HUBS[hub])
    except ImportError as error:
        raise ConfigError(
            f"--model {hub}:{name} needs the package {HUBS[hub]}; install it: pip install oodbench[models]"
        ) from error
    return _BUILDERS[hub](package, name, dict(arguments), pretrained)


def _timm(timm: Any, name: str, arguments: dict[str, Any], pretrained: bool) -> Hubbed:  # noqa: FBT001
    return Hubbed(model=timm.create_model(name, pretrained=pretrained, **arguments))


def _torchvision(torchvision: Any, name: str, arguments: dict[str, Any], pretrained: bool) -> Hubbed:  # noqa: FBT001
    weights = torchvision.models.get_model_weights(name).DEFAULT
    chosen = weights if pretrained else None
    return Hubbed(model=torchvision.models.get_model(name, weights=chosen, **arguments), preprocessing=weights)


def _hugging_face(transformers: Any, name: str, arguments: dict[str, Any], pretrained: bool) -> Hubbed:  # noqa: FBT001
    kind = transformers.AutoModelForImageClassification
    if pretrained:
        model = kind.from_pretrained(name, **arguments)
    else:
        model = kind.from_config(transformers.AutoConfig.from_pretrained(name, **arguments))
    return Hubbed(model=model, preprocessing=transformers.AutoImageProcessor.from_pretrained(name))


_BUILDERS = {"timm": _timm, "torchvision": _torchvision, "hf": _hugging_face}
