"""Sets of images: uint8 arrays with labels, and the conversions that a benchmark asks for."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence, Sized
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal, cast

from .errors import ConfigError, DataError, did_you_mean
from .hashing.values import array_digest, digest
from .image_rows import ChosenImages, Rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What is done to every image of a benchmark before anything else sees it.

    Attributes:
        size: height and width in pixels (bilinear, antialiased), or None to keep the images' own.
        channels: 1 for grey (ITU-R 601 luma), 3 for RGB, or None to keep the images' own.
    """

    size: tuple[int, int] | None = None
    channels: Literal[1, 3] | None = None

    def resized(self, picture: Image) -> Image | NDArray[np.uint8]:
        """Return a picture in its size; as pixels, shape (height, width, channels), where it takes other steps."""
        from PIL.Image import Resampling

        if self.size is None or picture.size == self.size[::-1]:
            return picture
        return picture.resize(self.size[::-1], Resampling.BILINEAR)

    @property
    def in_words(self) -> str:
        """Short, for records and messages."""
        return "stretch"


@dataclass(frozen=True, kw_only=True)
class CentreCrop(Conversion):
    """The shorter side is brought to a length and the centre is cut out, as photos are for most classifiers.

    To the pixel what torchvision's `Resize` and `CenterCrop` make of a PIL image.

    Attributes:
        resize: length of the shorter side before the cut, or height and width of the whole; at least `size`.
        interpolation: one of `INTERPOLATIONS`.
    """

    resize: int | tuple[int, int]
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        if self.interpolation not in INTERPOLATIONS:
            raise ConfigError(
                f"no interpolation {self.interpolation!r}{did_you_mean(self.interpolation, INTERPOLATIONS)}"
            )
        crop, least = self.size, (self.resize,) * 2 if isinstance(self.resize, int) else self.resize
        if crop is None or min(*crop, *least) < 1:
            raise ConfigError(f"resize={_side(self.resize)} and crop={_side(crop)} must be 1 pixel and more")
        if crop[0] > least[0] or crop[1] > least[1]:
            raise ConfigError(
                f"crop={_side(crop)} is larger than the image after resize={_side(self.resize)}; cut out less"
            )

    def resized(self, picture: Image) -> Image:
        """Return the centre of a picture."""
        from PIL.Image import Resampling

        assert self.size is not None
        width, height = picture.size
        if isinstance(self.resize, int):
            short, long = sorted(picture.size)
            other = int(self.resize * long / short)
            whole = (self.resize, other) if width <= height else (other, self.resize)
        else:
            whole = self.resize[::-1]
        if whole != picture.size:
            picture = picture.resize(whole, Resampling[self.interpolation.upper()])
        top, left = (round((side - cut) / 2) for side, cut in zip(whole[::-1], self.size, strict=True))
        return picture.crop((left, top, left + self.size[1], top + self.size[0]))

    @property
    def in_words(self) -> str:
        """As `--preprocess` takes it."""
        return f"resize={_side(self.resize)},crop={_side(self.size)},interpolation={self.interpolation}"


INTERPOLATIONS = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")
"""As Pillow calls them; all but the nearest are antialiased."""


def _side(size: int | tuple[int, int] | None) -> str:
    return "x".join(map(str, size)) if isinstance(size, tuple) else str(size)


@dataclass(frozen=True, kw_only=True)
class RawImages:
    """Images as a data set has them, before conversion.

    Attributes:
        images: a uint8 array of shape (n, height, width) or (n, height, width, 3), or PIL images of any size,
            which are read one after another.
        labels: one class index an image, into `class_names`, or None for a set without labels.
        class_names: in the order of the labels; empty for a set without labels.
        notes: sentences on what was passed over, for whoever runs a benchmark on these images.
    """

    images: NDArray[np.uint8] | Iterable[Image]
    labels: Sequence[int] | NDArray[np.int64] | None = None
    class_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def digest_of(image: NDArray[np.uint8]) -> bytes:
    """Return what tells an image from all others: a hash of its shape and pixels, 16 bytes."""
    hasher = blake2b(f"{image.dtype.str}{image.shape}".encode(), digest_size=16)
    hasher.update(image.tobytes())
    return hasher.digest()


def digests_of(images: Iterable[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Return what tells each image from all others, uint8, shape (n, 16)."""
    import numpy as np

    return np.frombuffer(b"".join(map(digest_of, images)), dtype=np.uint8).reshape(-1, 16)


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageSet:
    """Images in memory, memory-mapped from the cache or decoded when they are asked for, with labels or without.

    Attributes:
        name: for messages and tables.
        images: uint8, shape (n, channels, height, width).
        labels: int64, shape (n,), each in 0 … len(class_names) − 1, or None.
        class_names: in the order of the labels.
        partly_labelled: whether there may be images of which nothing is said; their label is −1.
        kept_digests: what tells each image from all others, as `digest_of` gives it, uint8, shape (n, 16), where that
            is known; None has it computed when it is asked for.
        part_of: the set that these images were taken from, and which they are there; None for a whole one.
        damaged: why each of the images that were left out could not be decoded.
    """

    name: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64] | None = None
    class_names: tuple[str, ...] = field(default=())
    partly_labelled: bool = False
    kept_digests: NDArray[np.uint8] | None = None
    part_of: tuple[ImageSet, NDArray[np.intp]] | None = None
    damaged: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype.name != "uint8":
            raise DataError(
                f"{self.name}: images must be uint8 of shape (n, channels, height, width), "
                f"got {self.images.dtype.name} {self.images.shape}"
            )
        if len(self.images) == 0:
            raise DataError(f"{self.name} holds no images; an empty set cannot be used or scored")
        if self.kept_digests is not None and self.kept_digests.shape != (len(self.images), 16):
            raise DataError(f"{self.name} has digests of other images; give ImageSet new ones, or none")
        if self.labels is None:
            return
        if len(self.labels) != len(self.images):
            raise DataError(f"{self.name} has {len(self.images)} images but {len(self.labels)} labels")
        low, high = int(self.labels.min()), int(self.labels.max())
        if low < (-1 if self.partly_labelled else 0) or high >= len(self.class_names):
            raise DataError(
                f"{self.name} has labels from {low} to {high}, outside of its {len(self.class_names)} classes "
                f"(0 to {len(self.class_names) - 1})"
            )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of every image."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    @cached_property
    def digests(self) -> NDArray[np.uint8]:
        """What tells each image from all others, uint8, shape (n, 16)."""
        if self.kept_digests is not None:
            return self.kept_digests
        known = self.images.digests if isinstance(self.images, Rows) else None
        return digests_of(self.images) if known is None else known

    @property
    def identity(self) -> str:
        """What tells its pixels from others: the fingerprint, or, before all images were seen, what it is made of."""
        unseen = self.images.identity if isinstance(self.images, Rows) and self.kept_digests is None else None
        return self.fingerprint if unseen is None else unseen

    @property
    def is_seen(self) -> bool:
        """Whether its digests are known, or can be had without decoding an image."""
        return self.kept_digests is not None or not isinstance(self.images, Rows) or self.images.identity is None

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all images, labels and class names (64 hexadecimal digits); names do not count."""
        return digest([array_digest(self.digests, self.labels), self.class_names])

    def at(self, chosen: NDArray[np.intp]) -> ImageSet:
        """Return some of the images, at indices of shape (m,); none is read."""
        return replace(
            self,
            images=cast("NDArray[np.uint8]", ChosenImages(self.images, chosen)),
            labels=None if self.labels is None else self.labels[chosen],
            kept_digests=None if self.kept_digests is None else self.kept_digests[chosen],
            part_of=(self, chosen),
        )

    def without_damaged(self) -> ImageSet:
        """Return the images that could be decoded, once all were seen.

        Raises:
            DataError: there are none.
        """
        import numpy as np

        reasons: dict[int, str] = dict(self.images.damaged) if isinstance(self.images, Rows) else {}
        if not reasons:
            return self
        whole = np.delete(np.arange(len(self)), list(reasons))
        if not len(whole):
            raise DataError(f"no image of {self.name} can be decoded: {next(iter(reasons.values()))}")
        return replace(self.at(whole), damaged=tuple(reasons.values()))

    def of_classes(self, classes: tuple[str, ...]) -> ImageSet:
        """Return the images of these classes only, relabelled 0 … len(classes) − 1 in the order given.

        Raises:
            DataError: the set has no labels, or no such class.
        """
        import numpy as np

        if self.labels is None:
            raise DataError(f"{self.name} has no labels, so the classes {', '.join(classes)} cannot be picked from it")
        if unknown := [name for name in classes if name not in self.class_names]:
            raise DataError(
                f"{self.name} has no class {', '.join(map(repr, unknown))}; "
                f"its classes are: {', '.join(self.class_names)}"
            )
        new_label = np.full(len(self.class_names), -1, dtype=np.int64)
        new_label[[self.class_names.index(name) for name in classes]] = np.arange(len(classes))
        kept = np.flatnonzero(new_label[self.labels] >= 0)
        if len(kept) == 0:
            raise DataError(f"{self.name} has no images of {', '.join(classes)}; an empty set cannot be used or scored")
        return replace(self.at(kept), labels=new_label[self.labels[kept]], class_names=classes)


def described(name: str, labels: Sequence[int] | NDArray[np.int64] | None, class_names: Sequence[str], n: int) -> str:
    """Return which classes a set has, with their counts, in one line; many are shortened.

    >>> described("pets", [0, 0, 1], ("cat", "dog"), 3)
    'pets: 3 images in 2 classes: cat 2, dog 1'
    """
    import numpy as np

    images = "1 image" if n == 1 else f"{n:,} images"
    if labels is None:
        return f"{name}: {images} without classes"
    counts = np.bincount(np.asarray(labels, dtype=np.int64), minlength=len(class_names)).tolist()
    shown = [f"{each} {count:,}" for each, count in zip(class_names, counts, strict=True)][:_SHOWN_CLASSES]
    others = len(class_names) - len(shown)
    more = [f"and {others:,} others with {min(counts):,} to {max(counts):,} images each"] if others else []
    kinds = "1 class" if len(class_names) == 1 else f"{len(class_names):,} classes"
    return f"{name}: {images} in {kinds}: {', '.join([*shown, *more])}"


_SHOWN_CLASSES = 12


def decode(content: bytes, where: str) -> Image:
    """Return the pixels of an image file, the first ones of several.

    They are as they are stored: a rotation that EXIF asks for is not carried out, as torchvision and timm do not, so
    that a classifier sees the images that it was trained on.

    Raises:
        DataError: it is damaged or no image; the message says where it is.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        picture = Image.open(io.BytesIO(content))
        if is_deep(picture):
            picture.info[_DEEP] = True
        picture.load()
    except UnidentifiedImageError as error:
        raise DataError(f"the image {where} cannot be decoded (no known format); replace or remove it") from error
    # Pillow raises SyntaxError for some broken PNGs, and its own bomb error for absurd sizes.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"the image {where} cannot be decoded ({error}); replace or remove it") from error
    return picture


def convert(raw: RawImages, conversion: Conversion, name: str) -> NDArray[np.uint8]:
    """Return raw images as one array, converted.

    Args:
        raw: as a data set reads them.
        conversion: size and channels to bring them to.
        name: of the set, for messages.

    Returns:
        uint8, shape (n, channels, height, width).

    Raises:
        DataError: there are no images, or they differ in size and no size is asked for.
    """
    import numpy as np

    if isinstance(raw.images, np.ndarray) and _fits(raw.images, conversion):
        array = raw.images
    else:
        array = _converted(raw.images, conversion, name)
    channels_last = array[..., np.newaxis] if array.ndim == 3 else array
    return np.ascontiguousarray(channels_last.transpose(0, 3, 1, 2))


def _fits(array: NDArray[np.uint8], conversion: Conversion) -> bool:
    if type(conversion) is not Conversion:
        return False
    channels = 1 if array.ndim == 3 else array.shape[3]
    return conversion.size in (None, array.shape[1:3]) and conversion.channels in (None, channels)


def _converted(images: NDArray[np.uint8] | Iterable[Image], conversion: Conversion, name: str) -> NDArray[np.uint8]:
    """Return images of shape (n, height, width) or (n, height, width, 3), with no copy of them beside the result."""
    import numpy as np
    from PIL import Image

    pictures = (Image.fromarray(image) for image in images) if isinstance(images, np.ndarray) else images
    array, done, deep, brightest = np.empty(0, dtype=np.uint8), 0, False, 0
    for picture in pictures:
        image = converted(picture, conversion, name)
        if done == 0:
            array = np.empty((len(images) if isinstance(images, Sized) else 16, *image.shape), dtype=np.uint8)
        check_alike(image.shape, array.shape[1:], name)
        if done == len(array):
            array = np.concatenate([array, np.empty_like(array)])
        array[done] = image
        done += 1
        if is_deep(picture):
            deep, brightest = True, max(brightest, int(image.max()))
    if done == 0:
        raise DataError(f"{name} holds no images; an empty set cannot be used or scored")
    if deep:
        check_bright(brightest, name)
    return array[:done]


def converted(picture: Image, conversion: Conversion, name: str) -> NDArray[np.uint8]:
    """Return the pixels of a converted picture, shape (height, width) or (height, width, 3).

    Args:
        picture: as it was decoded.
        conversion: size and channels to bring it to.
        name: of its set, for messages.

    Raises:
        DataError: its pixels are numbers whose range nobody knows.
    """
    import numpy as np

    try:
        return np.asarray(_converted_picture(picture, conversion))
    except (ValueError, OSError) as error:
        raise DataError(f"an image of {name} cannot be converted ({error}); save it as 8-bit grey or RGB") from error


def check_alike(shape: tuple[int, ...], others: tuple[int, ...], name: str) -> None:
    """Refuse an image that has another shape than others of its set.

    Raises:
        DataError: it has.
    """
    if shape != others:
        raise DataError(
            f"the images of {name} differ in size or colour ({others} and {shape}, for example); "
            "the benchmark must name a size and a number of channels"
        )


def check_bright(brightest: int, name: str) -> None:
    """Refuse images of 16 bits that use so few of them that all are nearly black.

    Args:
        brightest: of the 8-bit values of all images of a set that have 16 bits.
        name: of the set, for messages.

    Raises:
        DataError: they are.
    """
    if brightest < _DARK:
        raise DataError(
            f"the images of {name} have 16 bits a channel and use the lowest {8 + brightest.bit_length()} only: in the "
            "range of 16 bits they are nearly black; multiply their values so that white is 65535, or save 8 bits"
        )


def _converted_picture(picture: Image, conversion: Conversion) -> Image | NDArray[np.uint8]:
    picture = _eight_bit(picture)
    mode = {1: "L", 3: "RGB", None: "L" if picture.mode in ("1", "L") else "RGB"}[conversion.channels]
    if picture.mode != mode:
        picture = picture.convert(mode)
    return conversion.resized(picture)


_DEEP = "oodbench: 16 bits"
"""Under which a picture keeps that its file has 16 bits a channel, of which Pillow leaves 8 of colours."""

_DARK = 64
"""Below it are all images whose values have 14 bits or fewer and are read as if they had 16."""


def is_deep(picture: Image) -> bool:
    """Return whether the file of a picture has 16 bits a channel."""
    waiting = any(";16" in str(tile) for tile in getattr(picture, "tile", ()))
    return waiting or bool(picture.info.get(_DEEP)) or picture.mode.startswith("I")


def _eight_bit(picture: Image) -> Image:
    """Return a picture with 8 bits a channel, in a mode that Pillow converts as one expects.

    Raises:
        ValueError: the pixels are numbers whose range nobody knows.
    """
    import numpy as np
    from PIL import Image

    if picture.mode == "F":
        raise ValueError("its pixels are floating-point numbers")
    # "I" is what older ones make of a 16-bit PNG, and all of a PGM with large numbers, which it scales.
    if picture.mode == "I" and picture.format not in ("PNG", "PPM"):
        raise ValueError("its pixels are whole numbers of 32 bits")
    # Pillow would clip 16 bits, so that nearly everything gets white.
    if picture.mode.startswith("I"):
        return Image.fromarray((np.asarray(picture).clip(0, 65535) >> (_bits(picture) - 8)).astype(np.uint8))
    # The detour that Pillow asks for, with a warning an image, where a palette has transparent colours.
    if picture.mode == "P" and isinstance(picture.info.get("transparency"), bytes):
        return picture.convert("RGBA")
    return picture


def _bits(picture: Image) -> int:
    """Return how many bits a grey value has: 16, or what a TIFF says, such as 12 (its tag 258)."""
    said = getattr(picture, "tag_v2", {}).get(258, 16)
    bits = said[0] if isinstance(said, tuple) else said
    return bits if 8 <= bits <= 16 else 16


def pixels_of(array: Any, name: str) -> NDArray[np.uint8]:
    """Return an array or a tensor of images, wherever it is, as a NumPy array.

    Args:
        array: anything with a dtype and a shape.
        name: for messages.

    Returns:
        uint8, shape (n, channels, height, width) with 1 or 3 channels.

    Raises:
        DataError: it is of another type or shape, or holds no pixels; the message says what to do.
    """
    import numpy as np

    dtype, shape = str(getattr(array, "dtype", "objects")).removeprefix("torch."), tuple(array.shape)
    if dtype != "uint8" or len(shape) != 4 or shape[1] not in (1, 3):
        raise DataError(
            f"{name}: images must be uint8 of shape (n, channels, height, width) with 1 or 3 channels, got {dtype} "
            f"{shape}; {_remedy(dtype, shape)}"
        )
    try:
        here = array.detach().cpu() if hasattr(array, "detach") else array
        pixels: NDArray[np.uint8] = np.asarray(here)
    # Tensors of many kinds have no pixels to give: meta, sparse, fake.
    except Exception as error:
        raise DataError(f"{name}: its {type(array).__name__} holds no pixels ({error}); give a plain array") from error
    return pixels


def _remedy(dtype: str, shape: tuple[int, ...]) -> str:
    """Say how an array becomes images."""
    if len(shape) == 4 and shape[3] in (1, 3) and shape[1] not in (1, 3):
        return "put the channels first: .transpose(0, 3, 1, 2)"
    if len(shape) == 3 and dtype == "uint8":
        return "add what is missing: x[None] for one image, x[:, None] for grey ones"
    if "float" in dtype:
        return 'bring values from 0 to 1 to bytes: (x * 255).astype("uint8"); normalisation is given apart: normalise='
    return "normalisation is given apart: normalise="
