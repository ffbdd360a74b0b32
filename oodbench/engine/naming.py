"""How a name on the command line becomes a benchmark: a registered one, one divided anew, or images of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from oodbench.api import Maker
from oodbench.errors import ConfigError, UnknownName, did_you_mean
from oodbench.folders import is_path, place
from oodbench.given.conversion import agreed, parse_conversion
from oodbench.images import Conversion
from oodbench.plugins import registry
from oodbench.splits import SplitRule, parse_split
from oodbench.suite import Suite

if TYPE_CHECKING:
    from oodbench.benchmark import Benchmark

TEST_SHARE = 0.2
"""Of the images of a folder that is not divided into train/ and test/."""


@dataclass(frozen=True, kw_only=True)
class GivenImages:
    """How a benchmark is made of a name that is not one, or divided anew.

    Attributes:
        split: shares such as "50/20/30", or the path of a TOML file; None for no split.
        split_seed: of the random split; None for 0.
        split_seeds: how many random splits make a suite, with the seeds 0 … split_seeds − 1; None for one split.
        image_size: "64" or "48x64" (height, width), what images are brought to; None for 32×32.
        channels: 1 (grey) or 3 (RGB); None for 3.
        trained: whether a trained model is given: it says what size it takes, and a folder that is not divided holds
            test images only.
        data_dir: where a folder may lie that is named without its path, for messages; None for the default one.
        prescribed: how the images of the trained model are prepared, or None where only their size is given.
    """

    split: str | None = None
    split_seed: int | None = None
    split_seeds: int | None = None
    image_size: str | None = None
    channels: int | None = None
    trained: bool = False
    data_dir: Path | None = None
    prescribed: Conversion | None = None

    def benchmarks(self, name: str) -> tuple[Benchmark, ...]:
        """Return the members of a suite, or the one benchmark that a name or a path stands for.

        Raises:
            UnknownName: it is neither.
            ConfigError: the split or the size cannot be, or the benchmark prescribes its own.
        """
        if self.split_seeds is not None:
            return self._splits(name, self.split_seeds)
        suites = registry.names("suites")
        if registry.spelled("suites", name) not in suites or registry.spelled("benchmarks", name) in registry.names(
            "benchmarks"
        ):
            return (self.benchmark(name),)
        if self.split is not None or self.split_seed is not None:
            raise ConfigError(f"the suite {name} prescribes how classes are divided; leave --split out")
        return tuple(self._as_prescribed(member) for member in registry.suite(name).benchmarks)

    def _splits(self, name: str, count: int) -> tuple[Benchmark, ...]:
        """Return a suite of random splits of one benchmark."""
        if self.split_seed is not None:
            raise ConfigError("--split-seeds gives several splits, and --split-seed one of them; give one of the two")
        if not 2 <= count <= 1000:
            raise ConfigError(f"--split-seeds must be from 2 to 1000, how many random splits there are, got {count}")
        members = [replace(self, split_seeds=None, split_seed=seed).benchmark(name) for seed in range(count)]
        suite = members[0].name.removesuffix("-seed0") + "-splits"
        return Suite(
            name=suite, title=f"{count} random splits of {name}", source=members[0].source, members=tuple(members)
        ).benchmarks

    def benchmark(self, name: str) -> Benchmark:
        """Return the benchmark that a name, or the path of a folder or ZIP of images, stands for.

        Raises:
            UnknownName: it is neither.
            ConfigError: the split or the size cannot be, or the benchmark prescribes its own.
        """
        registered = registry.benchmark(name) if name in registry.names("benchmarks") else None
        if registered is not None and registered.split is not None:
            return self._divided_anew(registered, registered.split)
        if self.split is not None:
            return self._divided(name, self.split)
        if self.split_seed is not None:
            raise ConfigError(f"--split-seed needs a split of {name}, such as --split 50/20/30")
        if is_path(name):
            label, dataset = place(name)
            return _maker().of_all_classes(label, self.images(dataset), self.conversion())
        try:
            return self._as_prescribed(registry.benchmark(name))
        except UnknownName as error:
            if member := _member(name):
                return self._as_prescribed(member)
            raise UnknownName(f"{_with_suites(name, error)}{self._as_path(name)}") from error

    def _as_path(self, name: str) -> str:
        """Say how a folder is given, where one has the name; else ""."""
        from oodbench.folders import default_data_dir

        elsewhere = (self.data_dir or default_data_dir()) / name
        if Path(name).is_dir():
            return f". A folder is given as a path: ./{name}"
        return f". A folder is given as a path: {elsewhere}" if elsewhere.is_dir() else ""

    def _divided_anew(self, benchmark: Benchmark, rule: SplitRule) -> Benchmark:
        if self.split is None and self.split_seed is None:
            return self._as_prescribed(benchmark)
        changed = parse_split(self.split or rule.described, rule, seed=self.split_seed)
        return replace(self._as_prescribed(benchmark), name=self._named(benchmark.name, changed), split=changed)

    def _divided(self, name: str, split: str) -> Benchmark:
        label, dataset = place(name)
        rule = parse_split(split, SplitRule(dataset=label), seed=self.split_seed)
        return _maker().of_some_classes(self._named(label, rule), self.images(dataset), self.conversion(), rule)

    def _named(self, name: str, rule: SplitRule) -> str:
        """Name a split, so that its results are not taken for those of another one."""
        if rule.given is not None:
            return f"{name}-{Path(self.split or '').stem}"
        return f"{name}-{rule.described.replace('/', '-')}-seed{rule.seed}"

    def _as_prescribed(self, benchmark: Benchmark) -> Benchmark:
        if self.image_size is not None or self.channels is not None or self.prescribed is not None:
            raise ConfigError(
                f"--image-size, --channels and --preprocess are for images of your own; {benchmark.name} prescribes "
                "its own"
            )
        return benchmark

    def images(self, dataset: str) -> Mapping[str, object]:
        """Return what every part of a benchmark of one set has: a folder that is not divided gets test images."""
        divided = dataset in registry.names("datasets") or self.trained
        return {"dataset": dataset, "settings": {} if divided else {"test_share": TEST_SHARE}}

    def conversion(self) -> Conversion:
        """Return what images are brought to.

        Raises:
            ConfigError: the size or the channels cannot be, or a trained model came without them.
        """
        if self.prescribed is not None:
            return agreed(self.prescribed, self.image_size, self.channels)
        if self.trained and self.image_size is None:
            raise ConfigError("--image-size is missing: give the size of the images that the model was trained on")
        return parse_conversion(self.image_size or "32", self.channels)


def is_registered(benchmark: Benchmark) -> bool:
    """Return whether a benchmark is the registered one of its name, perhaps with other OOD sets.

    A folder, or a benchmark of a user's own, may have that name as well.
    """
    known = registry.usable("benchmarks").get(benchmark.name)
    if benchmark.suite and known is None:
        known = _member(benchmark.name, benchmark.suite)
    return known is not None and _id_images(known) == _id_images(benchmark)


def _member(name: str, suite: str | None = None) -> Benchmark | None:
    """Return the member of a suite that has a name, or None.

    Args:
        name: of the member.
        suite: the only one to look at; None for all.
    """
    suites = [found for known, found in registry.usable("suites").items() if suite in (None, known)]
    return next((member for found in suites for member in found.benchmarks if member.name == name), None)


def _with_suites(name: str, error: UnknownName) -> str:
    """Return the message about an unknown benchmark, which names suites and their members where one is nearest."""
    benchmarks, suites = registry.names("benchmarks"), registry.usable("suites")
    members = [member.name for suite in suites.values() for member in suite.benchmarks]
    known = list(dict.fromkeys([*benchmarks, *suites, *members]))
    nearest = get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    if not nearest or nearest[0] in benchmarks:
        return str(error)
    return f"no benchmark {name!r}{did_you_mean(name, known)} See: oodbench list suites"


def _id_images(benchmark: Benchmark) -> tuple[object, ...]:
    """Return what a benchmark says of its ID images, without the classes that its split draws."""
    parts = (benchmark.id_train, benchmark.id_test)
    return benchmark.conversion, *(replace(part, classes=None) if part.share else part for part in parts)


def _maker() -> Maker:
    maker: Maker = registry.load("benchmarks", registry.FOLDER)
    return maker
