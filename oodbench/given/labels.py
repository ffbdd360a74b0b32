"""What the outputs of a user's own model stand for, by lists that are known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from oodbench.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

LABELS = ("imagenet", "model")
"""ImageNet's 1,000 classes as torchvision calls them; the names that a model of Hugging Face comes with."""


def class_names_of(given: str | Sequence[str] | None, labels: str | None, model: nn.Module) -> Sequence[str] | None:
    """Return the class names of a model, in the order of its outputs, or None where nothing is said.

    Args:
        given: names, or on the command line a text of them with commas, or a file with one a line.
        labels: one of `LABELS`, or None.
        model: built.

    Raises:
        ConfigError: there is no such list, both are given, or the file cannot be read.
    """
    if labels is not None and given is not None:
        raise ConfigError("--class-names and --labels both say what the outputs stand for; give one of the two")
    if labels is None:
        return _typed(given) if isinstance(given, str) else given
    if labels == "imagenet":
        return _imagenet()
    if labels != "model":
        raise ConfigError(f"--labels {labels} is not known{did_you_mean(labels, LABELS)}")
    names = getattr(getattr(model, "config", None), "id2label", None) or {}
    if not names:
        raise ConfigError(f"{type(model).__name__} comes with no names of its classes; give them: --class-names")
    return [str(names[index]) for index in sorted(names)]


def _imagenet() -> list[str]:
    from torchvision.models import ResNet18_Weights

    names: list[str] = ResNet18_Weights.IMAGENET1K_V1.meta["categories"]
    # Two pairs have one name each.
    return [f"{name} ({i})" if name in names[:i] else name for i, name in enumerate(names)]


def _typed(text: str) -> list[str]:
    """Return the names that a list with commas or a file holds."""
    try:
        names = text.split(",") if "," in text else Path(text).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise ConfigError(
            f"--class-names {text} is no file that can be read; give the names with commas, such as dog,cat,cow, or a "
            "text file with one on each line"
        ) from error
    names = [name.strip() for name in names if name.strip()]
    if len(set(names)) < len(names):
        raise ConfigError(f"--class-names has {max(names, key=names.count)!r} twice")
    return names
