"""How the images of a user's own model are prepared: as it was said, or as what comes with the model says."""

from __future__ import annotations

import importlib
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
from .crops import Pair, centre_crop, mean_and_std, pillow_name
from .hugging_face import said_by, steps_of
from .normalisation import normalisation

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image
    from torch import nn

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
    """Return the processor in the folder that a model of Hugging Face was loaded from, or its settings."""
    folder = getattr(getattr(model, "config", None), "_name_or_path", "")
    file = Path(str(folder)) / "preprocessor_config.json"
    if not folder or not file.is_file():
        return None
    try:
        return importlib.import_module("transformers").AutoImageProcessor.from_pretrained(folder)
    # Without the package, or with one that does not know this processor, its settings are all there is.
    except (ImportError, ValueError, OSError):
        pass
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
        if callable(said):
            return _of_processor(said)
        said = said.to_dict()
    if not isinstance(said, Mapping):
        return None
    if "input_size" in said:
        return _of_timm(said)
    if "image_mean" in said or "do_resize" in said:
        return _of_hugging_face(said)
    return None


def _of_hugging_face(config: Mapping[str, Any]) -> Preprocessing:
    conversion, pair = said_by(config)
    return Preprocessing(conversion=conversion, normalise=pair, source="the image processor of Hugging Face")


def _of_processor(processor: Any) -> Preprocessing:
    """Return what the settings of an image processor say, or the processor itself where it does something else.

    Two settings that read alike are done in different ways by the processors of different models: a number to resize to
    is of the shorter side or of another one, a cut is rounded up or down, channels are turned round.
    """
    itself = _of_transform(steps_of(processor), called=type(processor).__name__)
    try:
        words = _of_hugging_face(processor.to_dict())
    except ConfigError:
        return itself
    return words if _alike(words, itself) else itself


def _alike(words: Preprocessing, itself: Preprocessing) -> bool:
    """Return whether words and a processor do the same to photos, to a grey level, and normalise alike."""
    from PIL import Image

    crop, other = words.conversion, itself.conversion
    assert isinstance(crop, CentreCrop)
    assert other is not None
    if crop.size != other.size or not np.allclose(np.array(words.normalise), np.array(itself.normalise), atol=1e-3):
        return False
    # Among the last four is each remainder by 4 of the pixels around the cut, half of which are rounded up or down.
    side = crop.resize if isinstance(crop.resize, int) else 300
    rng = np.random.default_rng(0)
    for height, width in ((301, 407), (407, 301), *((side, side + more) for more in (1, 2, 3, 4))):
        small = Image.fromarray(rng.integers(0, 256, (max(2, height // 16), max(2, width // 16), 3), dtype=np.uint8))
        photo = small.resize((width, height), Image.Resampling.BICUBIC)
        values = (np.asarray(each.resized(photo), dtype=np.float64) for each in (crop, other))
        apart = np.abs(np.subtract(*values))
        if apart.max() > 2 or apart.mean() > 0.25:
            return False
    return True


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
    return centre_crop(resize, crop, given.get("interpolation", "bilinear"))


def _sides(name: str, text: str) -> tuple[int, ...]:
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdecimal() and 0 < int(part) <= 100_000 for part in parts):
        raise ConfigError(f"--preprocess {name}={text} must be a number of pixels such as 224, or such as 192x224")
    return tuple(map(int, parts))


def _of_torchvision(transforms: Any) -> Preprocessing:
    return Preprocessing(
        conversion=centre_crop(transforms.resize_size, transforms.crop_size, pillow_name(transforms.interpolation)),
        normalise=mean_and_std(transforms.mean, transforms.std),
        source="torchvision's weights",
    )


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
    conversion = centre_crop(whole if mode == "squash" else whole[:1], (height, width), interpolation)
    return Preprocessing(
        conversion=replace(conversion, channels=1 if channels == 1 else 3),
        normalise=mean_and_std(config["mean"], config["std"]),
        source="timm's pretrained_cfg",
    )


@dataclass(frozen=True, kw_only=True)
class Transformed(Conversion):
    """Images go through a transform of the user's own, without the normalisation at its end.

    Attributes:
        content: hash of the transform.
        called: what it is called in records.
        steps: what is called, one after another.
    """

    content: str
    called: str = "a transform"
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
        return f"{self.called} ({self.content[:8]})"


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


def _of_transform(transform: Any, called: str = "a transform") -> Preprocessing:
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
        pair, steps = mean_and_std(steps[-1].mean, steps[-1].std), steps[:-1]
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
    conversion = Transformed(
        size=(height, width), channels=1 if channels == 1 else 3, content=content, called=called, steps=steps
    )
    return Preprocessing(conversion=conversion, normalise=pair, source=called)
