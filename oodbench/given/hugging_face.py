"""What an image processor of Hugging Face does to an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from oodbench.errors import ConfigError, first_line
from oodbench.images import CentreCrop

from .crops import Pair, centre_crop, mean_and_std, pillow_name

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor
    from torchvision.transforms import Compose


def said_by(config: Mapping[str, Any]) -> tuple[CentreCrop, Pair]:
    """Return what the settings of an image processor say, as most processors mean them.

    Raises:
        ConfigError: they say no size.
    """
    size = _named_sides(config.get("size"))
    crop = _named_sides(config.get("crop_size")) if config.get("do_center_crop") else ()
    share = config.get("crop_pct")
    if share and len(size) == 1:
        # ConvNeXt's: small images are cut out of larger ones, large ones are squashed.
        crop = (size[0], size[0])
        size = (int(size[0] / share),) if size[0] < 384 else crop
    if not config.get("do_resize", True):
        size = crop
    if not size or (len(size) == 1 and not crop):
        raise ConfigError(
            f"the image processor {config.get('image_processor_type', '')} says no size that all images get; say it, "
            "as in --preprocess resize=256,crop=224,interpolation=bicubic"
        )
    conversion = centre_crop(size, crop or size, pillow_name(config.get("resample", 2)))
    mean, std = mean_and_std((0.0,), (1.0,))
    if config.get("do_normalize", True):
        mean, std = mean_and_std(config.get("image_mean", (0.5,) * 3), config.get("image_std", (0.5,) * 3))
    # Pixels are from 0 to 1 here, and there from 0 to 255 times a factor.
    factor = 255 * float(config.get("rescale_factor", 1 / 255)) if config.get("do_rescale", True) else 255.0
    return conversion, (tuple(value / factor for value in mean), tuple(value / factor for value in std))


def _named_sides(size: Any) -> tuple[int, ...]:
    if isinstance(size, int):
        return (size,)
    if isinstance(size, Mapping) and "shortest_edge" in size:
        return (int(size["shortest_edge"]),)
    return (int(size["height"]), int(size["width"])) if isinstance(size, Mapping) and "height" in size else ()


@dataclass(frozen=True)
class Processed:
    """A step that leaves an image to a processor, and takes its normalisation back.

    Attributes:
        processor: called with one image.
        mean: of each channel, for values from 0 to 1.
        std: likewise.
    """

    processor: Any
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, picture: Image) -> Tensor:
        """Return values from 0 to 1, shape (channels, height, width)."""
        import torch

        mean, std = (torch.tensor(each)[:, None, None] for each in (self.mean, self.std))
        return (_values(self.processor, picture) * std + mean).clamp(0, 1)


def steps_of(processor: Any) -> Compose:
    """Return a transform that does what a processor does, normalisation last.

    The normalisation is measured on a black and on a white image, since processors differ in how they scale.

    Raises:
        ConfigError: the processor fails, or makes no image of one colour from one.
    """
    from PIL import Image
    from torchvision.transforms import Compose, Normalize

    ends = []
    for level in (0, 255):
        try:
            values = _values(processor, Image.new("RGB", (407, 301), (level,) * 3)).double().flatten(1)
        # What it cannot do is told in its own words.
        except Exception as error:
            raise ConfigError(
                f"{type(processor).__name__} fails with {type(error).__name__}: {first_line(error)}; say how images "
                "are prepared, as in --preprocess resize=256,crop=224,interpolation=bicubic"
            ) from error
        if (values.amax(dim=1) - values.amin(dim=1)).max() > 1e-3:
            raise ConfigError(
                f"{type(processor).__name__} makes no image of one colour from one, as by padding; say how images are "
                "prepared, as in --preprocess resize=256,crop=224,interpolation=bicubic"
            )
        ends.append(values.mean(dim=1).numpy())
    black, white = ends
    std = 1 / np.maximum(white - black, 1e-12)
    mean, std = mean_and_std(np.round(-black * std, 6) + 0.0, np.round(std, 6))
    return Compose([Processed(processor, mean, std), Normalize(mean, std)])


def _values(processor: Any, picture: Image) -> Tensor:
    values: Tensor = processor(images=picture, return_tensors="pt")["pixel_values"][0]
    return values
