"""How the images of a user's own model are prepared: as it was said, or as what comes with the model says."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from oodbench.errors import ConfigError, did_you_mean, first_line
from oodbench.images import CentreCrop, Conversion

from .copying import unwrapped

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image
    from torch import nn

Pair = tuple[tuple[float, ...], tuple[float, ...]]

_USUAL = "--preprocess resize=256,crop=224,interpolation=bicubic"


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How images are prepared.

    Attributes:
        conversion: what they are brought to, or None to stretch them to the size that is given.
        normalise: mean and standard deviation of each channel, or None where nothing is said of them.
        source: what said so, for messages; "" for the user.
    """

    conversion: Conversion | None = None
    normalise: Pair | None = None
    source: str = ""

    @property
    def in_words(self) -> str:
        """Short, for records."""
        return "stretch" if self.conversion is None else self.conversion.in_words

    def with_normalisation(self, given: Any) -> Any:
        """Return the normalisation that counts: the one that is given, or the model's own.

        Raises:
            ConfigError: there is none, or there are two.
        """
        from .model import normalisation

        if given is None and self.normalise is None:
            raise ConfigError("--normalise is missing: none, imagenet or MEAN/STD, as the model was trained with")
        if given is None or self.normalise is None:
            return self.normalise if given is None else given
        if not np.allclose(np.array(normalisation(given)), np.array(self.normalise), atol=1e-6):
            raise ConfigError(
                f"the normalisation {given!r} is not that of {self.source or '--preprocess'} ({self.normalise[0]}, "
                f"{self.normalise[1]}); leave it out"
            )
        return given


def preprocessing(given: Any, model: nn.Module, said: Any = None) -> Preprocessing:
    """Return how the images of a model are prepared.

    Args:
        given: "stretch" (or None), "resize=256,crop=224,interpolation=bicubic", "auto" for what comes with the model,
            or, in Python, a transform of torchvision that ends in a tensor, or anything that "auto" reads.
        model: built.
        said: what the hub says that the model comes from; None where only the model may know.

    Raises:
        ConfigError: it is nothing of the kind, or nothing comes with the model.
    """
    if given in (None, "stretch"):
        return Preprocessing()
    if given == "auto":
        return of_model(model, said)
    if isinstance(given, str):
        return Preprocessing(conversion=_of_words(given))
    if (known := _known(given)) is not None:
        return known
    if not callable(given):
        raise ConfigError(
            "preprocess must be stretch, auto, words such as resize=256,crop=224,interpolation=bicubic, or a "
            f"transform, got a {type(given).__name__}"
        )
    return _of_transform(given)


def of_model(model: nn.Module, said: Any = None) -> Preprocessing:
    """Return what comes with a model: timm's `pretrained_cfg`, torchvision's weights, Hugging Face's processor.

    Raises:
        ConfigError: nothing does.
    """
    model = unwrapped(model)
    names = ("pretrained_cfg", "default_cfg", "weights", "transforms", "image_processor")
    for each in (said, *(getattr(model, name, None) for name in names), _beside(model)):
        if each is not None and (known := _known(each)) is not None:
            return known
    raise ConfigError(
        f"nothing that comes with {type(model).__name__} says how its images are prepared; say it, as in {_USUAL}"
    )


def _beside(model: nn.Module) -> Any:
    """Return the configuration of the processor in the folder that a model of Hugging Face was loaded from."""
    folder = getattr(getattr(model, "config", None), "_name_or_path", "")
    file = Path(str(folder)) / "preprocessor_config.json"
    if not folder or not file.is_file():
        return None
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        return None


def _known(said: Any) -> Preprocessing | None:
    """Return what one of the usual forms says, or None of anything else.

    Raises:
        ConfigError: it is one of them and says what cannot be.
    """
    if hasattr(said, "transforms") and hasattr(said, "meta"):
        said = said.transforms()
    if hasattr(said, "crop_size") and hasattr(said, "resize_size"):
        return _of_torchvision(said)
    if hasattr(said, "to_dict"):
        said = said.to_dict()
    if not isinstance(said, Mapping):
        return None
    if "input_size" in said:
        return _of_timm(said)
    if "image_mean" in said or "do_resize" in said:
        return _of_hugging_face(said)
    return None


def _of_words(text: str) -> CentreCrop:
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    given = {name.strip(): value.strip() for name, _, value in pairs}
    known = ("resize", "crop", "interpolation")
    for name in given:
        if name not in known:
            raise ConfigError(
                f"--preprocess must be stretch, auto, or such as resize=256,crop=224,interpolation=bicubic, got "
                f"{text!r}{did_you_mean(name, known)}"
            )
    sides = {name: _sides(name, given[name]) for name in ("resize", "crop") if name in given}
    if "crop" not in sides and len(sides.get("resize", ())) != 2:
        raise ConfigError(f"--preprocess {text} must say what is cut out, such as crop=224")
    crop = sides.get("crop", sides.get("resize", ()))
    resize = sides.get("resize", crop)
    return _crop(resize, crop, given.get("interpolation", "bilinear"))


def _sides(name: str, text: str) -> tuple[int, ...]:
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdecimal() and 0 < int(part) <= 100_000 for part in parts):
        raise ConfigError(f"--preprocess {name}={text} must be a number of pixels such as 224, or such as 192x224")
    return tuple(map(int, parts))


def _crop(resize: Sequence[int], crop: Sequence[int], interpolation: str) -> CentreCrop:
    """Return a conversion; one number to resize to is of the shorter side, one number to cut out of both."""
    size = (int(crop[0]), int(crop[-1]))
    whole: int | tuple[int, int] = int(resize[0]) if len(resize) == 1 else (int(resize[0]), int(resize[1]))
    return CentreCrop(size=size, channels=3, resize=whole, interpolation=interpolation)


def _of_torchvision(transforms: Any) -> Preprocessing:
    return Preprocessing(
        conversion=_crop(transforms.resize_size, transforms.crop_size, _named(transforms.interpolation)),
        normalise=_pair(transforms.mean, transforms.std),
        source="torchvision's weights",
    )


def _named(interpolation: Any) -> str:
    """Return Pillow's name of an interpolation that is a name, a number of Pillow, or an enumeration of either."""
    from PIL.Image import Resampling

    value = getattr(interpolation, "value", interpolation)
    name = Resampling(value).name.lower() if isinstance(value, int) else str(value)
    return "nearest" if name == "nearest-exact" else name


def _pair(mean: Any, std: Any) -> Pair:
    from .model import normalisation

    return normalisation((tuple(map(float, np.atleast_1d(mean))), tuple(map(float, np.atleast_1d(std)))))


def _of_timm(config: Mapping[str, Any]) -> Preprocessing:
    """Return what timm's `create_transform` does in evaluation."""
    channels, height, width = config["input_size"]
    share, mode = float(config.get("crop_pct") or 0.875), config.get("crop_mode") or "center"
    whole = [math.floor(side / share) for side in (height, width)]
    if mode == "border" or (mode == "center" and height != width):
        raise ConfigError(
            f"the model's images are prepared as only timm does (crop_mode {mode}, {height}×{width}); give its "
            "transform in Python: preprocess=timm.data.create_transform(...)"
        )
    interpolation = config.get("interpolation") or "bilinear"
    conversion = _crop(whole if mode == "squash" else whole[:1], (height, width), interpolation)
    return Preprocessing(
        conversion=replace(conversion, channels=1 if channels == 1 else 3),
        normalise=_pair(config["mean"], config["std"]),
        source="timm's pretrained_cfg",
    )


def _of_hugging_face(config: Mapping[str, Any]) -> Preprocessing:
    """Return what an image processor of Hugging Face does."""
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
            f"as in {_USUAL}"
        )
    conversion = _crop(size, crop or size, _named(config.get("resample", 2)))
    mean, std = _pair((0.0,), (1.0,))
    if config.get("do_normalize", True):
        mean, std = _pair(config.get("image_mean", (0.5,) * 3), config.get("image_std", (0.5,) * 3))
    # Pixels are from 0 to 1 here, and there from 0 to 255 times a factor.
    factor = 255 * float(config.get("rescale_factor", 1 / 255)) if config.get("do_rescale", True) else 255.0
    return Preprocessing(
        conversion=conversion,
        normalise=(tuple(value / factor for value in mean), tuple(value / factor for value in std)),
        source="the image processor of Hugging Face",
    )


def _named_sides(size: Any) -> tuple[int, ...]:
    if isinstance(size, int):
        return (size,)
    if isinstance(size, Mapping) and "shortest_edge" in size:
        return (int(size["shortest_edge"]),)
    return (int(size["height"]), int(size["width"])) if isinstance(size, Mapping) and "height" in size else ()


@dataclass(frozen=True, kw_only=True)
class Transformed(Conversion):
    """Images go through a transform of the user's own, without the normalisation at its end.

    Attributes:
        content: hash of the transform.
        steps: what is called, one after another.
    """

    content: str
    steps: tuple[Callable[[Any], Any], ...] = field(metadata={"plain": False}, compare=False, repr=False)

    def resized(self, picture: Image) -> NDArray[np.uint8]:
        """Return pixels, shape (height, width, channels).

        Raises:
            ValueError: the transform fails, or gives no pixels of this size.
        """
        pixels = _pixels(self.steps, picture)
        if self.size is not None and pixels.shape[:2] != self.size:
            raise ValueError(
                f"the transform gives {pixels.shape[:2]} pixels for one of {picture.size[::-1]}, and "
                f"{self.size} for others; let it end in one size"
            )
        return pixels[..., 0] if pixels.shape[2] == 1 else pixels

    @property
    def in_words(self) -> str:
        """Its name and its content."""
        return f"a transform ({self.content[:8]})"


def _pixels(steps: Sequence[Callable[[Any], Any]], picture: Image) -> NDArray[np.uint8]:
    value: Any = picture
    try:
        for step in steps:
            value = step(value)
    # What a user's own code does wrong is told in its own words.
    except Exception as error:
        raise ValueError(f"the transform fails with {type(error).__name__}: {first_line(error)}") from error
    if not hasattr(value, "detach") or value.ndim != 3 or value.shape[0] not in (1, 3):
        kind = f"{tuple(value.shape)}" if hasattr(value, "shape") else f"a {type(value).__name__}"
        raise ValueError(f"the transform must end in a tensor of shape (3, height, width), got {kind}; add ToTensor()")
    values = value.detach().cpu().numpy()
    if values.dtype != np.uint8:
        if not (values.min() >= -1e-3 and values.max() <= 1 + 1e-3):
            raise ValueError(
                f"the transform must give values from 0 to 1, got {values.min():.3g} to {values.max():.3g}; let "
                "Normalize be its last step, or leave that to normalise="
            )
        values = np.rint(values * 255).clip(0, 255).astype(np.uint8)
    return cast("NDArray[np.uint8]", values.transpose(1, 2, 0))


def _of_transform(transform: Any) -> Preprocessing:
    """Return what a transform does; where it ends in `Normalize`, that becomes the normalisation.

    Raises:
        ConfigError: it fails on a photo, ends in no tensor of one size, or is random.
    """
    from PIL import Image

    from oodbench.hashing.contents import content_digest
    from oodbench.hashing.installed import versions_of
    from oodbench.hashing.values import digest

    within = getattr(transform, "transforms", None)
    steps = tuple(within) if isinstance(within, list | tuple) else (transform,)
    pair = None
    if type(steps[-1]).__name__ == "Normalize" and len(steps) > 1:
        pair, steps = _pair(steps[-1].mean, steps[-1].std), steps[:-1]
    noise = np.random.default_rng(0).integers(0, 256, (301, 407, 3), dtype=np.uint8)
    try:
        first, again, other = (
            _pixels(steps, Image.fromarray(each)) for each in (noise, noise, noise.transpose(1, 0, 2))
        )
    except ValueError as error:
        raise ConfigError(f"preprocess: {error}") from error
    if first.shape != other.shape:
        raise ConfigError(
            f"preprocess: the transform gives {first.shape[:2]} and {other.shape[:2]} pixels for photos of two shapes; "
            "let it end in one size, as by CenterCrop"
        )
    if (first != again).any():
        raise ConfigError("preprocess: the transform is random; take the one of evaluation")
    content = digest([content_digest(steps), versions_of(type(step).__module__ for step in steps)])
    height, width, channels = first.shape
    conversion = Transformed(size=(height, width), channels=1 if channels == 1 else 3, content=content, steps=steps)
    return Preprocessing(conversion=conversion, normalise=pair, source="the transform")
