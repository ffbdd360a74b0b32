"""Signs and background patches, cut out of full frames."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from oodbench.errors import ConfigError

from ._tt100k import Box, Finding, Frame, Sign

if TYPE_CHECKING:
    from numpy.random import Generator
    from PIL.Image import Image

BACKGROUND = "background"

# Of a box that the border cuts, this share must be in the frame.
_KEPT_SHARE = 0.5
# A crowded frame is given up after this many places for one patch.
_TRIES = 100


@dataclass(frozen=True, kw_only=True)
class CutSettings:
    """How signs and background patches are cut.

    Attributes:
        max_side: longer side in pixels that larger crops are shrunk to (Lanczos), or None to keep their size.
        min_side: signs whose longer side is shorter are left out; 6 is that of the smallest published crop.
        patches: background patches of each frame.
        patch_sides: shortest and longest side of the square patches, drawn log-uniformly; by default the range of
            the middle 90% of the signs' longer sides, so that neither size nor sharpness tells them from signs.
        central_share: patches lie in the middle of the frame, in this share of its width and of its height. Masana
            et al. (BMVC 2018) say "the central area", without a number.
        seed: of sizes and places of the patches.
    """

    max_side: int | None = 48
    min_side: int = 6
    patches: int = 1
    patch_sides: tuple[int, ...] = (18, 118)
    central_share: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_side is not None and self.max_side < 1:
            raise ConfigError(f"max_side must be at least 1 pixel, or none to keep the size, got {self.max_side}")
        if self.min_side < 1:
            raise ConfigError(f"min_side must be at least 1 pixel, got {self.min_side}")
        if self.patches < 0:
            raise ConfigError(f"patches must not be negative, got {self.patches}")
        if len(self.patch_sides) != 2 or not 1 <= self.patch_sides[0] <= self.patch_sides[1]:
            raise ConfigError(
                f"patch_sides must be two lengths in pixels, the shorter first, such as 18,118, got {self.patch_sides}"
            )
        if not 0 < self.central_share <= 1:
            raise ConfigError(f"central_share must be above 0 and at most 1, got {self.central_share}")
        if self.seed < 0:
            raise ConfigError(f"seed must not be negative, got {self.seed}")


@dataclass(kw_only=True)
class Cut:
    """What came out of one frame: images by their names below the data set's folder, classes, and findings."""

    crops: dict[str, Image] = field(default_factory=dict)
    signs: Counter[str] = field(default_factory=Counter)
    backgrounds: int = 0
    findings: Counter[Finding] = field(default_factory=Counter)


def cut_frame(frame: Frame, picture: Image, settings: CutSettings) -> Cut:
    """Return the signs and background patches of a frame; frames of other/ give backgrounds only.

    Args:
        frame: its split and annotations.
        picture: its pixels.
        settings: sizes and places.
    """
    signs, findings = frame.signs()
    cut = Cut(findings=findings)
    if frame.folder == "other":
        cut.findings[Finding.IN_OTHER] += len(signs)
    else:
        for sign in signs:
            _cut_sign(sign, frame, picture, settings, cut)
    boxes = frame.boxes()
    places = [] if boxes is None else list(background_boxes(picture.size, boxes, settings, frame.number))
    for index, place in enumerate(places):
        name = f"{frame.split}/{BACKGROUND}/{frame.name}-patch{index}.png"
        cut.crops[name] = _crop(picture, place, settings)
    cut.backgrounds = len(places)
    cut.findings[Finding.NO_ROOM] += len(places) < settings.patches
    return cut


def _cut_sign(sign: Sign, frame: Frame, picture: Image, settings: CutSettings, cut: Cut) -> None:
    left, top, right, bottom = sign.box
    inside = (max(left, 0.0), max(top, 0.0), min(right, picture.width), min(bottom, picture.height))
    width, height = inside[2] - inside[0], inside[3] - inside[1]
    if width <= 0 or height <= 0 or width * height < _KEPT_SHARE * (right - left) * (bottom - top):
        cut.findings[Finding.OUTSIDE] += 1
        return
    if max(width, height) < settings.min_side:
        cut.findings[Finding.SMALL] += 1
        return
    cut.findings[Finding.CLIPPED] += inside != sign.box
    cut.crops[f"{frame.split}/{sign.category}/{frame.name}-{sign.index}.png"] = _crop(picture, inside, settings)
    cut.signs[sign.category] += 1


def _crop(picture: Image, box: Box, settings: CutSettings) -> Image:
    """Return every pixel that the box touches, in RGB, shrunk where it is too large."""
    from PIL import Image as Pillow

    left, top, right, bottom = box
    crop = picture.crop((math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom))).convert("RGB")
    if settings.max_side is not None:
        scale = settings.max_side / max(crop.size)
        if scale < 1:
            size = (max(1, round(crop.width * scale)), max(1, round(crop.height * scale)))
            crop = crop.resize(size, Pillow.Resampling.LANCZOS)
    return crop


def background_boxes(size: tuple[int, int], boxes: list[Box], settings: CutSettings, number: int) -> Iterator[Box]:
    """Yield squares in the central area of a frame that touch no box, as many as asked for or as there is room for.

    Args:
        size: width and height of the frame.
        boxes: of all signs in it.
        settings: number and size of the patches, the central area, and the seed.
        number: of the frame: each draws from a stream of its own.
    """
    import numpy as np

    rng = np.random.default_rng([settings.seed, number])
    for _ in range(settings.patches):
        candidates = (_central_square(size, settings, rng) for _ in range(_TRIES))
        place = next((box for box in candidates if box and not any(_touch(box, other) for other in boxes)), None)
        if place is not None:
            yield place


def _central_square(size: tuple[int, int], settings: CutSettings, rng: Generator) -> Box | None:
    shortest, longest = settings.patch_sides
    side = round(math.exp(rng.uniform(math.log(shortest), math.log(longest))))
    edges = []
    for length in size:
        first = math.ceil(length * (1 - settings.central_share) / 2)
        last = math.floor(length * (1 + settings.central_share) / 2) - side
        if first > last:
            return None
        edges.append(int(rng.integers(first, last + 1)))
    left, top = edges
    return (left, top, left + side, top + side)


def _touch(box: Box, other: Box) -> bool:
    return box[0] <= other[2] and other[0] <= box[2] and box[1] <= other[3] and other[1] <= box[3]
