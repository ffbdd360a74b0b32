"""Noise: reproducible, apart in its splits, and distributed as it says."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from oodbench.errors import ConfigError, DataError, UnknownName
from oodbench.images import ImageSet
from oodbench.plugins import registry

Load = Callable[..., ImageSet]

NOISES = ["gaussian", "uniform", "rademacher", "blob"]
SEEDED = [*NOISES, "photo_patches"]


@pytest.fixture
def many(load: Load) -> Callable[[str], np.ndarray]:
    """Make 300,000 pixels of a kind of noise, all in one array, on a scale from 0 to 1."""
    return lambda name: load(name, size=(100, 100), channels=3, settings={"count": 10}).images.ravel() / 255


@pytest.mark.parametrize("name", SEEDED)
def test_the_same_seed_makes_the_same_images(name: str, load: Load, cache_dir, data_dir) -> None:
    dataset = registry.dataset(name, {"count": 20, "seed": 3})
    first = load(name, size=(8, 8), channels=3, settings={"count": 20, "seed": 3})
    (cache_dir / "images").rename(cache_dir / "elsewhere")
    again = load(name, size=(8, 8), channels=3, settings={"count": 20, "seed": 3})
    assert dataset.seed == 3
    assert first.fingerprint == again.fingerprint


@pytest.mark.parametrize("name", SEEDED)
def test_another_seed_makes_other_images(name: str, load: Load) -> None:
    first, other = (load(name, size=(8, 8), channels=3, settings={"count": 20, "seed": seed}) for seed in (0, 1))
    assert not np.array_equal(first.images, other.images)


@pytest.mark.parametrize("name", SEEDED)
def test_the_splits_are_different_images(name: str, load: Load) -> None:
    train, test = (load(name, split, size=(8, 8), channels=3, settings={"count": 20}) for split in ("train", "test"))
    assert not (train.images[:, np.newaxis] == test.images[np.newaxis]).all(axis=(2, 3, 4)).any()


@pytest.mark.parametrize("name", SEEDED)
def test_the_first_images_of_a_seed_differ_from_each_other(name: str, load: Load) -> None:
    images = load(name, size=(8, 8), channels=3, settings={"count": 20}).images
    assert len(np.unique(images, axis=0)) == 20


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", SEEDED)
def test_count_size_and_channels_are_as_asked_for(name: str, channels: int, load: Load) -> None:
    images = load(name, size=(6, 9), channels=channels, settings={"count": 7}).images
    assert images.shape == (7, channels, 6, 9)


@pytest.mark.parametrize("name", NOISES)
def test_noise_has_ten_thousand_images_unless_told_otherwise(name: str) -> None:
    assert registry.dataset(name).count == 10_000


@pytest.mark.parametrize("name", SEEDED)
def test_seeded_images_have_no_labels(name: str, load: Load) -> None:
    assert load(name, size=(6, 6), channels=1, settings={"count": 2}).labels is None


@pytest.mark.parametrize(("size", "channels"), [(None, 3), ((8, 8), None)])
@pytest.mark.parametrize("name", NOISES)
def test_noise_without_a_size_or_channels_to_come_in_is_an_error(
    name: str, size: object, channels: object, load: Load
) -> None:
    with pytest.raises(DataError, match="has no size of its own; the benchmark must name"):
        load(name, size=size, channels=channels)


@pytest.mark.parametrize("count", [0, -1])
@pytest.mark.parametrize("name", SEEDED)
def test_no_images_at_all_cannot_be_asked_for(name: str, count: int) -> None:
    with pytest.raises(ConfigError, match=f"count must be at least 1, got {count}"):
        registry.dataset(name, {"count": count})


@pytest.mark.parametrize("name", SEEDED)
def test_a_negative_seed_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="seed must not be negative, got -1"):
        registry.dataset(name, {"seed": -1})


def test_an_unknown_setting_of_noise_is_refused() -> None:
    with pytest.raises(UnknownName, match="gaussian has no setting 'cout'. Did you mean 'count'"):
        registry.dataset("gaussian", {"cout": 5})


# P(N(0.5, 1) < 0) = Φ(−0.5) = 0.3085; half a step of rounding at 1/255 adds 0.0007. The standard error is 0.0008.
@pytest.mark.parametrize("bound", [0.0, 1.0])
def test_gaussian_noise_is_clipped_at_both_ends(bound: float, many: Callable[[str], np.ndarray]) -> None:
    assert (many("gaussian") == bound).mean() == pytest.approx(0.3092, abs=0.004)


def test_gaussian_noise_is_nearly_flat_between_its_ends(many: Callable[[str], np.ndarray]) -> None:
    # P(0.25 < N(0.5, 1) < 0.75) = 0.1974
    pixels = many("gaussian")
    assert ((pixels > 0.25) & (pixels < 0.75)).mean() == pytest.approx(0.1974, abs=0.004)


def test_uniform_noise_has_the_mean_and_deviation_of_the_uniform_distribution(
    many: Callable[[str], np.ndarray],
) -> None:
    pixels = many("uniform")
    assert (pixels.mean(), pixels.std()) == pytest.approx((0.5, 12**-0.5), abs=0.003)


def test_uniform_noise_takes_every_value(many: Callable[[str], np.ndarray]) -> None:
    assert len(np.unique(many("uniform"))) == 256


def test_rademacher_noise_is_black_or_white(many: Callable[[str], np.ndarray]) -> None:
    assert np.unique(many("rademacher")).tolist() == [0.0, 1.0]


def test_rademacher_noise_is_fair(many: Callable[[str], np.ndarray]) -> None:
    assert many("rademacher").mean() == pytest.approx(0.5, abs=0.005)


def test_blobs_are_black_or_above_their_threshold(many: Callable[[str], np.ndarray]) -> None:
    pixels = many("blob")
    assert pixels[pixels > 0].min() * 255 >= 191


@pytest.mark.parametrize("channels", [1, 3])
def test_blobs_are_both_there_and_not_everywhere(channels: int, load: Load) -> None:
    images = load("blob", size=(28, 28), channels=channels, settings={"count": 50}).images
    assert 0.05 < (np.asarray(images) > 0).mean() < 0.5


def test_blobs_are_smooth_inside(load: Load) -> None:
    images = load("blob", size=(28, 28), channels=1, settings={"count": 50}).images.astype(int)
    inside = (images[..., 1:] > 0) & (images[..., :-1] > 0)
    assert np.abs(np.diff(images, axis=-1))[inside].max() < 40


def test_coloured_blobs_are_blurred_across_channels_as_in_the_code_of_their_authors(load: Load) -> None:
    # skimage.filters.gaussian(image, sigma=1.5, multichannel=False) in hendrycks/outlier-exposure, CIFAR/test.py.
    images = load("blob", size=(32, 32), channels=3, settings={"count": 2}).images
    flips = (np.random.default_rng([0, 1]).random((2, 32, 32, 3)) < 0.7).astype(float)
    blurred = np.stack([gaussian_filter(image, 1.5, mode="nearest") for image in flips])
    expected = np.rint(np.where(blurred < 0.75, 0, blurred).clip(0, 1) * 255).astype(np.uint8)
    np.testing.assert_array_equal(expected.transpose(0, 3, 1, 2), images)


@pytest.mark.parametrize("name", NOISES)
def test_pale_noise_keeps_between_its_bounds(name: str, load: Load) -> None:
    images = load(name, size=(32, 32), channels=3, settings={"count": 20, "low": 0.22, "high": 0.72}).images
    assert images.min() == 56
    assert 170 < images.max() <= 184


def test_the_noise_of_outlier_exposure_has_half_the_deviation_of_normalised_images(load: Load) -> None:
    settings = {"count": 50, "low": 0.22, "high": 0.72, "deviation": 0.25}
    images = np.asarray(load("gaussian", size=(32, 32), channels=3, settings=settings).images)
    normalised = (images / 255 - 0.47) / 0.25
    clipped = np.random.default_rng(1).normal(0, 0.5, 200_000).clip(-1, 1)
    assert normalised.std() == pytest.approx(clipped.std(), rel=0.01)
    assert normalised.mean() == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("settings", [{"low": 0.5, "high": 0.5}, {"low": -0.1}, {"high": 1.5}, {"deviation": 0.0}])
def test_noise_between_bounds_that_cannot_be_is_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="must be"):
        registry.dataset("gaussian", settings)
