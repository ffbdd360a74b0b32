"""A trial of a user's own classifier on a few noise images: what it gives, and whether that can be scored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from oodbench.errors import ConfigError, first_line

from .classifier import FeatureClassifier, GivenClassifier, averaged

_N_IMAGES = 3


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What a classifier turned out to give.

    Attributes:
        n_classes: number of logits.
        layer: name of the linear layer that gives the logits, or "" where none does.
        gradients: whether its logits have gradients with respect to the images.
    """

    n_classes: int
    layer: str
    gradients: bool


def tried(classifier: GivenClassifier, shape: tuple[int, int, int], name: str, features: str | None) -> Trial:
    """Return what a classifier gives for images of a shape.

    The images are noise: models that normalise each image make NaN of black ones.

    Args:
        classifier: in evaluation mode.
        shape: channels, height and width.
        name: of the model, for messages.
        features: name of the layer that gives the logits; None for the last linear one that does, if any.

    Raises:
        ConfigError: it cannot take such images, does not return logits, gives others each time or in each batch, or
            these do not come from the layer that was named.
    """
    device = classifier.mean.device
    images = torch.rand(_N_IMAGES, *shape, generator=torch.Generator().manual_seed(0)).to(device)
    channels = classifier.mean.numel()
    if channels not in (1, shape[0]):
        raise ConfigError(f"the normalisation has {channels} channels, and the images have {shape[0]}")
    seen: dict[str, Tensor] = {}
    with torch.no_grad():
        with _watching(classifier.model, seen):
            logits = _logits(classifier, images, name)
        _check_finite(logits, classifier.model, name)
        _check_alone(classifier, images, logits, name)
        _check_no_probabilities(logits, seen, name)
        layer = _layer(classifier, images, logits, seen, features, name)
    return Trial(n_classes=logits.shape[1], layer=layer, gradients=_has_gradients(classifier, images))


def linear_layers(model: nn.Module) -> list[str]:
    """Return the names of all layers that are linear in each pixel."""
    return [key for key, module in model.named_modules() if _is_linear(module)]


def _is_linear(module: nn.Module) -> bool:
    if isinstance(module, nn.Conv2d):
        return module.kernel_size == (1, 1) and module.groups == 1 and module.padding in ((0, 0), 0, "valid")
    return isinstance(module, nn.Linear)


class _watching:  # noqa: N801  # reads as a word
    """Keeps the last output of each linear layer, within the block."""

    def __init__(self, model: nn.Module, seen: dict[str, Tensor]) -> None:
        self._hooks: list[Any] = []
        for key in linear_layers(model):

            def see(key: str, _module: nn.Module, _given: Any, output: Any) -> None:
                # A copy of what may be logits: a later module may work in place on the same memory.
                if isinstance(output, Tensor) and output.ndim in (1, 2, 4):
                    seen[key] = output.clone()

            self._hooks.append(model.get_submodule(key).register_forward_hook(partial(see, key)))

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()


def _logits(classifier: GivenClassifier, images: Tensor, name: str) -> Tensor:
    size = "×".join(map(str, images.shape[1:]))
    try:
        logits: Tensor = classifier(images)
    # What a user's own code does wrong is told in its own words.
    except (Exception, SystemExit) as error:
        what = first_line(error)
        kind = "" if isinstance(error, RuntimeError | ValueError | AssertionError) else f"{type(error).__name__}: "
        remedy = "give the size and channels it was trained on"
        if kind:
            remedy = "it must take a tensor of images, and return logits"
        raise ConfigError(f"the model {name} cannot take images of {size} ({kind}{what}); {remedy}") from error
    if logits.ndim != 2 or len(logits) != len(images):
        raise ConfigError(
            f"the model {name} must return logits of shape (n, n_classes), got a tensor of shape "
            f"{tuple(logits.shape)} for {len(images)} images"
        )
    if logits.shape[1] < 2:
        raise ConfigError(
            f"the model {name} has one output; it must return a logit for each of two classes or more: of one output "
            "z, torch.cat([-z, z], dim=1) / 2 gives two"
        )
    return logits


def _check_finite(logits: Tensor, model: nn.Module, name: str) -> None:
    if torch.isfinite(logits).all():
        return
    for key, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.is_floating_point() and torch.isnan(tensor).any():
            raise ConfigError(f"the weights of {name} hold NaN ({key}); load others, or train it again")
    raise ConfigError(
        f"the model {name} gives NaN or infinity for images of noise; look at its normalisation, and for divisions by "
        "what may be zero"
    )


def _same(one: Tensor, other: Tensor) -> bool:
    # Kernels differ with the size of a batch, and so do the last digits.
    scale = max(1.0, float(other.abs().max()))
    return one.shape == other.shape and torch.allclose(one, other, rtol=1e-3, atol=1e-3 * scale)


def _check_alone(classifier: GivenClassifier, images: Tensor, logits: Tensor, name: str) -> None:
    """Refuse a model that gives an image other logits each time, or beside other images."""
    if not _same(_logits(classifier, images, name), logits):
        raise ConfigError(
            f"the model {name} gives other logits each time for the same images, as with dropout that is left on "
            "(F.dropout without training=self.training) or random augmentation; switch off what is random in "
            "evaluation mode"
        )
    try:
        alone = classifier(images[:1])
    except Exception as error:
        raise ConfigError(
            f"the model {name} takes {len(images)} images together, and one image alone it cannot take "
            f"({type(error).__name__}: {first_line(error)}); let it take any number of images, as with a dynamic batch "
            "size in torch.export"
        ) from error
    if not _same(alone, logits[:1]):
        norm = next((key for key, module in classifier.model.named_modules() if _uses_batch(module)), "")
        cause = f" (the batch normalisation {norm!r} has no running statistics)" if norm else ""
        raise ConfigError(
            f"the logits that the model {name} gives for an image depend on the other images of its batch{cause}, so "
            "its scores would depend on their order; let it look at each image alone"
        )


def _uses_batch(module: nn.Module) -> bool:
    return isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is None  # noqa: SLF001


_ENDS: dict[str, Callable[[Tensor], Tensor]] = {
    "softmax": lambda values: values.softmax(dim=1),
    "log-softmax": lambda values: values.log_softmax(dim=1),
    "sigmoid": torch.sigmoid,
}


def _check_no_probabilities(logits: Tensor, seen: dict[str, Tensor], name: str) -> None:
    """Refuse the outputs of a softmax, or their logarithms: what methods compute from logits they do not allow."""
    for end, function in _ENDS.items():
        for key, values in seen.items():
            rows = averaged(values)
            if rows.shape == logits.shape and torch.allclose(function(rows), logits, atol=1e-6, rtol=1e-5):
                raise ConfigError(
                    f"the model {name} changes the output of its layer {key!r} (a {end} at the end); let it return "
                    "logits"
                )
    if _are_probabilities(logits):
        raise ConfigError(f"the model {name} returns probabilities (a softmax at the end?); let it return logits")


def _are_probabilities(outputs: Tensor) -> bool:
    """Return whether outputs are those of a softmax, or their logarithms."""
    given = outputs if outputs.min() >= 0 else outputs.exp()
    return torch.allclose(given.sum(dim=1), torch.ones_like(given[:, 0]), atol=1e-4)


def _layer(
    classifier: GivenClassifier,
    images: Tensor,
    logits: Tensor,
    seen: dict[str, Tensor],
    features: str | None,
    name: str,
) -> str:
    """Return the name of the layer that gives the logits, or "" where none does and none was named."""
    known = linear_layers(classifier.model)
    if features is None:
        likely = [key for key in reversed(known) if key in seen and _close(averaged(seen[key]), logits)]
        return next((key for key in likely if _gives(classifier, images, logits, key)), "")
    inside = [key for key in known if key.startswith(f"{features}.")]
    for key in (*reversed(inside), features):
        if _gives(classifier, images, logits, key):
            return key
    others = [key for key in known if _gives(classifier, images, logits, key)]
    remedy = f"name the layer that gives them, one of: {', '.join(others)}" if others else "leave features out"
    raise ConfigError(f"the logits of {name} are not the output of its layer {features!r}; {remedy}")


def _gives(classifier: GivenClassifier, images: Tensor, logits: Tensor, layer: str) -> bool:
    """Return whether logits are what a layer makes of the features, one vector an image."""
    own = with_features(classifier, layer)
    try:
        features = own.outputs(images)["features"]
        again = own.head(features)
        alone = own.outputs(images[:1])["features"]
        difference = own.head(features[:1] - features[1:2]) + own.head(features[1:2]) - own.head(features[:1])
        linear = _close(difference, own.head(torch.zeros_like(features[:1])))
    # Layers of all kinds are tried.
    except Exception:  # noqa: BLE001
        return False
    return linear and features.ndim == 2 and alone.shape == features[:1].shape and _close(again, logits)


def _close(one: Tensor, other: Tensor) -> bool:
    scale = max(1.0, float(other.abs().max()))
    return one.shape == other.shape and torch.allclose(one, other, rtol=1e-4, atol=1e-4 * scale)


def with_features(classifier: GivenClassifier, layer: str) -> FeatureClassifier:
    """Return a classifier with the features of a layer; both share the model."""
    mean, std = (values.flatten().tolist() for values in (classifier.mean, classifier.std))
    own = FeatureClassifier(classifier.model, mean, std, layer).to(classifier.mean.device)
    return own.eval()


def _has_gradients(classifier: GivenClassifier, images: Tensor) -> bool:
    with torch.enable_grad():
        start = images.clone().requires_grad_()
        try:
            (gradient,) = torch.autograd.grad(classifier(start).sum(), start)
        # Whatever keeps gradients from being computed.
        except Exception:  # noqa: BLE001
            return False
    return bool(torch.isfinite(gradient).all())


def check_layer(model: nn.Module, layer: str | None) -> None:
    """Refuse the name of a layer that a model does not have.

    Raises:
        ConfigError: it has no such layer.
    """
    if layer is None:
        return
    if not layer or layer not in dict(model.named_modules()):
        known: Sequence[str] = linear_layers(model)
        choice = (
            f"its linear layers are: {', '.join(known)}" if known else "it has no linear layers, leave features out"
        )
        raise ConfigError(f"the model has no layer {layer!r}; {choice}")
