"""A classifier of a user's own as methods see it: images in [0, 1] in, logits out, and features where it has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

from oodbench.errors import ConfigError

from .copying import script_of


class GivenClassifier(nn.Module):
    """A classifier with its normalisation inside, so that methods see and change images in [0, 1].

    Args:
        model: gives logits, shape (n, n_classes), for normalised images, alone or as the first tensor of a tuple or of
            a mapping, as models of Hugging Face do.
        mean: of each channel, or one for all.
        std: the same.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def outputs(self, images: Tensor) -> dict[str, Tensor]:
        """Return what is known of images in [0, 1]: "logits", shape (n, n_classes)."""
        return {"logits": self(images)}

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, shape (n, n_classes), for images in [0, 1]."""
        return in_rows(logits_in(self.model((images - self.mean) / self.std)), len(images))

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled: TorchScript has a file format of its own, and does not go into others."""
        state = {**self.__dict__, "_modules": {**self._modules}}
        if isinstance(self.model, torch.jit.ScriptModule):
            state["_modules"]["model"] = self.model.save_to_buffer()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take what was pickled."""
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        if isinstance(content := self._modules["model"], bytes):
            self._modules["model"] = script_of(content).eval()

    def train(self, mode: bool = True) -> GivenClassifier:  # noqa: FBT001, FBT002  # as in PyTorch
        """Set training mode, of a model that knows one: exported ones do not."""
        self.training = mode
        with suppress(NotImplementedError):
            self.model.train(mode)
        return self


class FeatureClassifier(GivenClassifier):
    """A classifier whose logits are the output of a linear layer: its features are what goes into the layer.

    A convolution of 1×1 pixels is a linear layer as well; its features are averaged over the image.

    Args:
        model: as for `GivenClassifier`.
        mean: of each channel, or one for all.
        std: the same.
        layer: name of the layer.
    """

    def __init__(self, model: nn.Module, mean: Sequence[float], std: Sequence[float], layer: str) -> None:
        super().__init__(model, mean, std)
        self.layer = layer

    def outputs(self, images: Tensor) -> dict[str, Tensor]:
        """Return "features" and "logits" of one pass.

        Raises:
            ConfigError: the layer is not used, as that of an auxiliary classifier.
        """
        seen: list[Tensor] = []
        hook = self.model.get_submodule(self.layer).register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        try:
            logits = self(images)
        finally:
            hook.remove()
        if not seen:
            raise ConfigError(f"the layer {self.layer!r} takes no part in the logits; name the one that gives them")
        return {"features": averaged(in_rows(seen[-1], len(images))), "logits": logits}

    def features(self, images: Tensor) -> Tensor:
        """Return what goes into the layer, shape (n, n_features), for images in [0, 1]."""
        return self.outputs(images)["features"]

    def head(self, features: Tensor) -> Tensor:
        """Return logits, shape (n, n_classes)."""
        layer = self.model.get_submodule(self.layer)
        given = features[:, :, None, None] if isinstance(layer, nn.Conv2d) else features
        return in_rows(layer(given), len(features))


def logits_in(output: Any) -> Tensor:
    """Return the logits among what a model returns.

    Raises:
        TypeError: there are none.
    """
    if isinstance(output, Tensor):
        return output
    named = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", None)
    if isinstance(named, Tensor):
        return named
    values: Any = output.values() if isinstance(output, Mapping) else output
    if isinstance(values, Iterable) and not isinstance(values, str):
        found = next((value for value in values if isinstance(value, Tensor)), None)
        if found is not None:
            return found
    raise TypeError(f"it returns a {type(output).__name__} without a tensor")


def in_rows(values: Tensor, n: int) -> Tensor:
    """Return values in float32 with a row an image, where they were squeezed or are maps of one pixel."""
    if n == 1 and values.ndim in (1, 3):
        values = values[None]
    if values.ndim == 4 and values.shape[2:] == (1, 1):
        values = values[:, :, 0, 0]
    return values.float()


def averaged(maps: Tensor) -> Tensor:
    """Return the mean of maps over the image, float32; rows as they are."""
    return (maps.mean(dim=(2, 3)) if maps.ndim == 4 else maps).float()
