"""Benchmarks: which images are in-distribution, which are not, and how networks are trained on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from .claims import Claim
from .contamination import Contamination
from .errors import ConfigError
from .images import Conversion
from .splits import ClassSplit, Share, SplitRule
from .training.config import TrainConfig

Role = Literal["seen", "novelty", "anomaly", "covariate"]

COVARIATE = "covariate"
"""The role of a set that is in-distribution by its classes and differs in style, weather or camera."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a data set.

    Attributes:
        dataset: name of a data set plugin, or of a folder or ZIP of images in the data folder.
        split: "train" or "test".
        classes: names of the classes to keep, in label order; None keeps all.
        share: keeps the classes that the benchmark's split gives to this part instead.
        settings: hyper-parameters of the data set, such as how many noise images.
    """

    dataset: str
    split: Literal["train", "test"] = "test"
    classes: tuple[str, ...] | None = None
    share: Share | None = None
    settings: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class OodSet:
    """A named test set beside the in-distribution one.

    Attributes:
        name: as it stands in tables.
        part: its images.
        role: "seen" (its training images may be used in training), "novelty" (related to the
            in-distribution images; OpenOOD says near), "anomaly" (unrelated; far) or "covariate": images of the ID
            classes that look otherwise. A covariate set is scored like the others, so that its own row says how well
            it is told from the ID test images, with the accuracy on it. It counts in no mean and no rank over OOD sets.
            On the other sets, metrics named `full_spectrum_…` count the images of all covariate sets as
            in-distribution, beside the ID test images; all other metrics leave them out.
        optional: whether the benchmark is run without it where its images are missing.
    """

    name: str
    part: Part
    role: Role
    optional: bool = True


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A way to train: one configuration for all objectives, or some with their own.

    Attributes:
        default: for every objective that has none of its own.
        objectives: by the objective's name.
        methods: hyper-parameters that it prescribes, by the method's name; methods without that setting refuse it.
        about: one line for listings.
    """

    default: TrainConfig
    objectives: Mapping[str, TrainConfig] = field(default_factory=dict)
    methods: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    about: str = ""

    def config(self, objective: str) -> TrainConfig:
        """Return the configuration for an objective."""
        return self.objectives.get(objective, self.default)


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One in-distribution problem with everything that its experiment prescribes.

    Attributes:
        name: as in `--in`, and as `in_dist` in result rows.
        title: one line for listings and captions.
        source: paper and section.
        id_train: in-distribution training images, with labels.
        id_test: in-distribution test images, of the same classes.
        id_validation: labelled ID images that are neither trained nor tested on, for methods that see such; where they
            are missing there are none. None holds out a share of the training images instead.
        seen: out-distribution training images that methods may use, without labels, by the name of the OOD test set
            of that distribution. Methods use the first one unless their setting `seen` names another.
        ood: the out-of-distribution test sets.
        conversion: size and channels of every image.
        network: name of a network plugin.
        embedding_dim: size of the output of networks that are trained to embed.
        recipes: by name; results of any but `full_recipe` say by how much their training was cut short.
        recipe: the default one.
        full_recipe: the uncut one.
        variants: hyper-parameters that a method is run with, one after another, where it is asked for by its bare
            name; by the method's name.
        split: how the classes are divided among the parts that have a `share`.
        layout: the table layout that shows it best.
        validation_share: share of each class's training images that is held out for validation.
        ood_validation: OOD images that settings may be chosen on (`--tune val`), and that are in no test set, by name.
        optional_seen: whether the benchmark is run without seen images that are missing; methods that need them are
            then left out.
        embedded: whether all its images come with the installation.
        suite: name of the suite that it is run as a member of; "" where it is run for itself.
        contamination: other images among its training images, or None.
        known_exceptions: why it cannot keep a check of its contract, by the check's name.
        claims: what its paper says of the results, for reports to test.
    """

    name: str
    title: str
    source: str
    id_train: Part
    id_test: Part
    ood: tuple[OodSet, ...]
    conversion: Conversion
    network: str
    recipes: Mapping[str, Recipe]
    recipe: str = "default"
    full_recipe: str = "default"
    seen: Mapping[str, Part] = field(default_factory=dict)
    variants: Mapping[str, tuple[Mapping[str, object], ...]] = field(default_factory=dict)
    split: SplitRule | None = None
    embedding_dim: int = 10
    layout: str = "table2"
    validation_share: float = 0.1
    id_validation: Part | None = None
    ood_validation: Mapping[str, Part] = field(default_factory=dict)
    optional_seen: bool = False
    embedded: bool = False
    suite: str = ""
    contamination: Contamination | None = None
    known_exceptions: Mapping[str, str] = field(default_factory=dict)
    claims: tuple[Claim, ...] = ()

    def __post_init__(self) -> None:
        for name in (self.recipe, self.full_recipe):
            if name not in self.recipes:
                raise ConfigError(f"benchmark {self.name} has no recipe {name!r}; it has: {', '.join(self.recipes)}")
        names = [ood.name for ood in self.ood]
        if repeated := {name for name in names if names.count(name) > 1}:
            raise ConfigError(f"benchmark {self.name} names the OOD set {min(repeated)!r} twice")
        if not self.seen and any(ood.role == "seen" for ood in self.ood):
            raise ConfigError(f"benchmark {self.name} has a seen OOD test set but no seen training images")
        if any(part.split == "test" for part in self.seen.values()):
            raise ConfigError(f"benchmark {self.name} would train on test images: seen must be a training split")
        if self.split is None and any(part.share for part in self.parts):
            raise ConfigError(f"benchmark {self.name} has parts with a share of the classes but no split")
        if self.id_validation is not None and self.validation_share:
            raise ConfigError(
                f"benchmark {self.name} has validation images of its own and holds out training images too; set "
                "validation_share to 0"
            )
        if self.ood and all(ood.role == COVARIATE for ood in self.ood):
            raise ConfigError(f"benchmark {self.name} has covariate-shifted sets only; add an OOD set")
        if not 0.0 <= self.validation_share < 1.0:
            raise ConfigError(f"validation_share must be in [0, 1), got {self.validation_share}")

    @property
    def parts(self) -> tuple[Part, ...]:
        """All images that it names."""
        validation = () if self.id_validation is None else (self.id_validation,)
        others = (*self.seen.values(), *self.ood_validation.values(), *(ood.part for ood in self.ood))
        return (self.id_train, self.id_test, *validation, *others)

    def contaminated(self, contamination: Contamination) -> Benchmark:
        """Return the benchmark with other images among its training images, under a name that says so."""
        return replace(
            self,
            name=f"{self.name}{contamination.suffix}",
            title=f"{self.title}; training images: {contamination.described}",
            suite=f"{self.suite}{contamination.suffix}" if self.suite else "",
            contamination=contamination,
        )

    def divided(self, split: ClassSplit) -> Benchmark:
        """Return the benchmark with the classes of a split in the parts that have a share of them."""

        def classes_of(part: Part) -> Part:
            return part if part.share is None else replace(part, classes=split.part(part.share))

        return replace(
            self,
            id_train=classes_of(self.id_train),
            id_test=classes_of(self.id_test),
            # A split that gives no class away has none to train or to test on.
            seen={
                name: classes_of(part)
                for name, part in self.seen.items()
                if part.share is None or split.part(part.share)
            },
            ood_validation={name: classes_of(part) for name, part in self.ood_validation.items()},
            ood=tuple(
                replace(ood, part=classes_of(ood.part))
                for ood in self.ood
                if ood.part.share is None or split.part(ood.part.share)
            ),
        )
