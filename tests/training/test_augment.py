"""Random changes of training images, by hand and against torchvision."""

from __future__ import annotations

import pytest
import torch
from torchvision.transforms.v2 import functional as peer

from oodbench.errors import ConfigError
from oodbench.training import augment

NAMES = list(augment.CHANGES)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def images(n=64, channels=3, side=16, seed=0):
    return torch.rand(n, channels, side, side, generator=generator(seed))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_images_keep_shape_and_range_and_are_left_as_they_were(name, channels):
    given = images(channels=channels)
    before = given.clone()

    changed = augment.augmented(given, (name,), generator())

    assert changed.shape == given.shape
    assert changed.is_contiguous(memory_format=torch.channels_last)
    assert 0 <= changed.min() <= changed.max() <= 1
    assert torch.equal(given, before)
    assert not torch.equal(changed, given)


@pytest.mark.parametrize("name", NAMES)
def test_equal_generators_change_alike_and_others_otherwise(name):
    one, same, other = (augment.augmented(images(), (name,), generator(seed)) for seed in (1, 1, 2))

    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("name", NAMES)
def test_each_image_of_a_batch_is_changed_in_its_own_way(name):
    alike = images(1).expand(64, -1, -1, -1)

    changed = augment.augmented(alike, (name,), generator()).flatten(1)

    assert len(changed.unique(dim=0)) > 1


def test_a_shifted_image_is_one_of_those_that_can_be_cut_out_of_the_mirrored_one():
    given = images(40, side=16)
    mirrored = torch.nn.functional.pad(given, (2, 2, 2, 2), mode="reflect")

    changed = augment.crop(given, generator())

    shifts = set()
    for image, whole in zip(changed, mirrored, strict=True):
        fits = [(i, j) for i in range(5) for j in range(5) if torch.equal(image, whole[:, i : i + 16, j : j + 16])]
        assert len(fits) == 1
        shifts.add(fits[0])
    assert len(shifts) > 10


def test_about_half_of_all_images_are_flipped():
    given = images(400)

    changed = augment.flip(given, generator())

    flipped = [torch.equal(image, before.flip(2)) for image, before in zip(changed, given, strict=True)]
    kept = [torch.equal(image, before) for image, before in zip(changed, given, strict=True)]
    assert sum(flipped) + sum(kept) == 400
    assert 150 < sum(flipped) < 250


def test_quarter_turns_are_equally_frequent():
    given = images(400)

    changed = augment.rotate90(given, generator())

    turns = [
        next(k for k in range(4) if torch.equal(image, before.rot90(k, (1, 2))))
        for image, before in zip(changed, given, strict=True)
    ]
    assert all(70 < turns.count(k) < 130 for k in range(4))


def test_a_square_of_at_most_half_the_side_takes_the_mean_colour():
    given = images(50, side=8)

    changed = augment.cutout(given, generator())

    for image, before in zip(changed, given, strict=True):
        covered = (image != before).all(dim=0)
        rows, columns = covered.any(1).nonzero().flatten(), covered.any(0).nonzero().flatten()
        assert 1 <= len(rows) <= 4
        assert covered.sum() == len(rows) * len(columns)
        colour = before.mean(dim=(1, 2))
        assert torch.allclose(image[:, covered], colour[:, None].expand(-1, int(covered.sum())))


def one_factor(value):
    return torch.full((5, 1, 1, 1), value)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda x: augment._brightened(x, one_factor(1.27)), lambda x: peer.adjust_brightness(x, 1.27)),
        (lambda x: augment._contrasted(x, one_factor(0.73)), lambda x: peer.adjust_contrast(x, 0.73)),
        (lambda x: augment._coloured(x, one_factor(1.4)), lambda x: peer.adjust_saturation(x, 1.4)),
        (lambda x: augment._sharpened(x, one_factor(1.27)), lambda x: peer.adjust_sharpness(x, 1.27)),
        (augment._stretched, peer.autocontrast),
    ],
    ids=["brightness", "contrast", "colour", "sharpness", "autocontrast"],
)
def test_values_change_as_in_torchvision(ours, theirs):
    given = images(5, side=9)

    assert torch.allclose(ours(given), theirs(given), atol=1e-3)


@pytest.mark.parametrize("change", ["equalize", "posterize"])
def test_whole_pixels_change_as_in_torchvision(change):
    pixels = (images(5, side=24) ** 2 * 255).round().to(torch.uint8)
    pixels[0] = 7  # one value only: nothing to spread

    ours = augment._equalised(pixels / 255) if change == "equalize" else augment._posterised(pixels / 255, 7)
    theirs = peer.equalize(pixels) if change == "equalize" else peer.posterize(pixels, 7)

    assert torch.equal((ours * 255).round().to(torch.uint8), theirs)


def test_moves_of_randaugment_are_those_of_torchvision():
    given = images(1, side=32)
    smooth = torch.nn.functional.avg_pool2d(given, 5, 1, 2)
    amount = torch.tensor([0.3])
    expected = {
        2: peer.affine(smooth, 0.0, [round(-150 / 331 * 32 * 0.3), 0], 1.0, [0.0, 0.0], interpolation=2),
        4: peer.rotate(smooth, 9.0, interpolation=2),
    }
    for number, other in expected.items():
        theta = torch.eye(2, 3) + augment._MOVES[number](amount)
        grid = torch.nn.functional.affine_grid(theta, list(smooth.shape), align_corners=False)
        ours = torch.nn.functional.grid_sample(smooth, grid, padding_mode="reflection", align_corners=False)
        inner = (slice(None), slice(None), slice(8, -8), slice(8, -8))
        assert (ours[inner] - other[inner]).abs().mean() < 0.03


def test_randaugment_leaves_some_images_alone_and_changes_most():
    given = images(600, side=8)

    changed = augment.randaugment(given, generator())

    kept = (changed == given).flatten(1).all(dim=1).float().mean().item()
    assert 0.0 < kept < 0.1


def test_quarter_turns_of_images_that_are_not_square_are_refused():
    with pytest.raises(ConfigError, match="rotate90 needs square images, and these are 4×6"):
        augment.require_fit(("flip", "rotate90"), (3, 4, 6))

    augment.require_fit(("flip",), (3, 4, 6))


def test_images_of_one_pixel_can_be_shifted():
    one = images(3, side=1)

    assert torch.equal(augment.crop(one, generator()), one)
