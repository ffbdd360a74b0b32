"""Hyper-parameters that a run chooses on validation images, from the grid of a method."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from .errors import ConfigError, did_you_mean
from .hashing.values import plain
from .settings import differences, short

if TYPE_CHECKING:
    from torch import Tensor

    from .api import Detector, FitInputs, Method, Need, Objective, Sees
    from .batch import Batch
    from .readings import Reading

Tune = Literal["id", "val", "seen", "test"]
"""What settings are chosen on, besides held-out ID images: "id" these alone, and images made by altering them; "val"
the validation OOD images that a benchmark has for it; "seen" its seen OOD training images; "test" the OOD test sets
themselves, which is marked in tables."""

IMAGES = 2000
"""At most so many images of each set are looked at, drawn from the seed."""

CHOSEN = "chosen"
"""Under which a record names the settings that were chosen."""

_OOD: Mapping[str, frozenset[Sees]] = {
    "val": frozenset({"ood_validation"}),
    "seen": frozenset({"seen_ood"}),
    "test": frozenset({"ood_test"}),
}


def check_tune(word: str) -> Tune:
    """Return a word that says what settings are chosen on.

    Raises:
        ConfigError: there is no such word.
    """
    if word not in get_args(Tune):
        raise ConfigError(f"tune must be one of {', '.join(get_args(Tune))}, got {word!r}{did_you_mean(word, _OOD)}")
    return cast("Tune", word)


def seen_in_tuning(tune: str) -> frozenset[Sees]:
    """Return what is seen besides the training images: held-out ID images, and OOD images where the word says so."""
    return _OOD.get(tune, frozenset()) | {"id_validation"}


def drawn(batch: Batch, count: int | None, seed: int) -> Batch:
    """Return `count` images of a batch, drawn without replacement from a seed; all of them where it has no more.

    The first ones of a folder are all of its first classes.
    """
    import numpy as np

    if count is None or count >= len(batch):
        return batch
    return batch.at(np.sort(np.random.default_rng(seed).permutation(len(batch))[:count]))


def ood_samples(inputs: FitInputs, tune: str, n: int, *, name: str, otherwise: str) -> list[Batch]:
    """Return up to n images of each OOD set that may be looked at, drawn from the seed.

    Args:
        inputs: what `fit` was given.
        tune: "val", "seen" or "test".
        n: at most this many images of each.
        name: of the method, for messages.
        otherwise: the value of `tune` that needs none.

    Raises:
        ConfigError: there are none.
    """
    sets: Mapping[str, Sequence[Batch | None]] = {
        "val": [*inputs.ood_validation.values()],
        "seen": [inputs.seen_ood],
        "test": [*inputs.ood_test.values()],
    }
    samples = [drawn(batch, n, inputs.seed) for batch in sets[tune] if batch is not None]
    if not samples:
        raise ConfigError(
            f"{name}.tune={tune} needs OOD images that this benchmark does not have; use tune={otherwise}"
        )
    return samples


def at_edge(value: float, grid: Sequence[float]) -> bool:
    """Return whether a value that was chosen from a grid is its first or last one: a wider grid may hold a better."""
    return value in (grid[0], grid[-1])


def tuned(method: Method, tune: str, *, name: str, given: Iterable[str] = ()) -> Method | None:
    """Return a method that chooses its settings, or None where it has none to choose.

    A method says by its class attribute `grid` which values of which settings may be tried; one that chooses by itself
    has a method `tuned(tune)` instead, which returns what does.

    Args:
        method: with its settings.
        tune: what they are chosen on, a word of `Tune`.
        name: of the method, for messages.
        given: names of settings that were given and so are not chosen.

    Raises:
        ConfigError: there is no such word.
    """
    word = check_tune(tune)
    if hasattr(method, "tuned"):
        changed: Method = method.tuned(word)
        chooses = set(differences(method, changed))
        return changed if chooses and chooses.isdisjoint(given) else None
    names = tuple(setting for setting in getattr(method, "grid", {}) if setting not in set(given))
    chooses_here = Tuned(method=method, tune=word, names=names, of=name)
    # Its title and source are properties where the protocol has constants of a class.
    return cast("Method", chooses_here) if names else None


def settings_of(method: Method) -> dict[str, Any]:
    """Return the hyper-parameters of a method as records hold them, with what they are chosen on."""
    if isinstance(method, Tuned):
        return {**plain(method.method), "tune": method.tune}
    settings: dict[str, Any] = plain(method)
    return settings


def changes(method: Method, prescribed: Method) -> dict[str, Any]:
    """Return the hyper-parameters of a method that differ from those of another of its class."""
    if isinstance(method, Tuned):
        return {**differences(method.method, prescribed), "tune": method.tune}
    return differences(method, prescribed)


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """A method whose settings are chosen from its grid: those with the largest mean AUROC on validation images.

    ID images are held-out ones that no network was trained on. For tune=id the others are made by altering these, in
    the ways of Hendrycks et al. (Outlier Exposure, ICLR 2019), who choose settings so; no OOD image is seen. Every
    point of the grid is fitted and scored on outputs that the network gave before: only methods that run the network
    themselves do so again. Of equal points the first counts, and the first of all are the method's own settings, so
    that nothing is changed for no gain; points that a method refuses, as more neighbours than images, are left out.
    Source: the search is that of OpenOOD v1.5 (automatic parameter search), which takes the AUROC on validation OOD
    images.

    Attributes:
        method: with its own settings.
        tune: what they are chosen on.
        names: of the settings that are chosen.
        of: name of the method, for messages.
    """

    method: Any
    tune: Tune
    names: tuple[str, ...]
    of: str = field(default="", metadata={"plain": False})

    @property
    def title(self) -> str:
        """That of the method."""
        return str(self.method.title)

    @property
    def source(self) -> str:
        """That of the method."""
        return str(self.method.source)

    @property
    def networks(self) -> tuple[Objective, ...]:
        """Those of the method."""
        networks: tuple[Objective, ...] = self.method.networks
        return networks

    @property
    def needs(self) -> frozenset[Need]:
        """What the method needs."""
        return getattr(self.method, "needs", frozenset())

    @property
    def reads(self) -> tuple[Reading, ...]:
        """What the method reads of inner layers, with whatever settings."""
        methods = (method for _, method in self.candidates())
        return tuple(dict.fromkeys(reading for method in methods for reading in getattr(method, "reads", ())))

    @property
    def sees(self) -> frozenset[Sees]:
        """What the method sees, and what its settings are chosen on."""
        sees: frozenset[Sees] = self.method.sees
        return sees | seen_in_tuning(self.tune)

    @property
    def seen(self) -> str | None:
        """Which seen OOD images it is given."""
        return getattr(self.method, "seen", None)

    def candidates(self) -> Iterator[tuple[Mapping[str, object], Method]]:
        """Yield the settings to try with the method that has them, its own first, each once."""
        own = {name: getattr(self.method, name) for name in self.names}
        grid = {name: tuple(self.method.grid[name]) for name in self.names}
        yield own, self.method
        for values in itertools.product(*grid.values()):
            point = dict(zip(grid, values, strict=True))
            if point == own:
                continue
            try:
                method = replace(self.method, **point)
            except ConfigError:
                # Values that do not go together are no point.
                continue
            yield point, method

    def fit(self, inputs: FitInputs) -> TunedDetector:
        """Return the detector of the best point.

        Raises:
            ConfigError: there are no validation images, or the method refuses all points.
        """
        validation, others = self._validation(inputs)
        best: tuple[float, Mapping[str, object], Detector] | None = None
        refused: ConfigError | None = None
        for point, method in self.candidates():
            try:
                detector = method.fit(_declared(inputs, method))
            except ConfigError as error:
                refused = error
                continue
            value = self._mean_auroc(detector, validation, others)
            if best is None or value > best[0]:
                best = (value, point, detector)
        if best is None:
            assert refused is not None  # there is one point at least
            raise refused
        value, point, detector = best
        return TunedDetector(detector=detector, chosen={**self._facts(point), "validation_auroc": value})

    def _validation(self, inputs: FitInputs) -> tuple[Batch, Sequence[Batch]]:
        if inputs.validation is None:
            raise ConfigError(
                f"{self.of} needs held-out ID images to choose its settings on, and this benchmark holds none out; "
                "leave tune out"
            )
        validation = drawn(inputs.validation, IMAGES, inputs.seed)
        if self.tune == "id":
            return validation, [*inputs.altered.values()]
        return validation, ood_samples(inputs, self.tune, IMAGES, name=self.of, otherwise="id")

    def _mean_auroc(self, detector: Detector, validation: Batch, others: Sequence[Batch]) -> float:
        from .metrics import auroc
        from .scoring import scores_of

        scores_id = scores_of(detector, validation, self.of)
        values = [auroc(scores_id, scores_of(detector, other, self.of)) for other in others]
        return sum(values) / len(values)

    def _facts(self, point: Mapping[str, object]) -> dict[str, bool | int | float | str]:
        """Return the chosen settings, their names, and whether they are at the edge of their grid."""
        facts: dict[str, bool | int | float | str] = {CHOSEN: ", ".join(self.names)}
        for name, value in point.items():
            grid = tuple(self.method.grid[name])
            # What "auto" comes to is said by the detector.
            if value != "auto":
                facts[name] = ",".join(map(short, value)) if isinstance(value, tuple) else cast("Any", value)
            if len(grid) > 1 and all(isinstance(entry, int | float) for entry in grid):
                facts[f"{name}_at_edge"] = at_edge(value, grid)  # type: ignore[arg-type]  # of a grid of numbers
        return facts


def _declared(inputs: FitInputs, method: Method) -> FitInputs:
    """Return of the inputs what a method declares to see: what settings are chosen on is not for its fit."""
    return dataclasses.replace(
        inputs,
        validation=inputs.validation if "id_validation" in method.sees else None,
        seen_ood=inputs.seen_ood if "seen_ood" in method.sees else None,
        ood_test=inputs.ood_test if "ood_test" in method.sees else {},
        ood_validation=inputs.ood_validation if "ood_validation" in method.sees else {},
        altered={},
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class TunedDetector:
    """A detector whose settings were chosen.

    Attributes:
        detector: with the best settings.
        chosen: these, whether they are at the edge of what was tried, and the mean AUROC on the validation images.
    """

    detector: Detector
    chosen: Mapping[str, bool | int | float | str]

    def score(self, batch: Batch) -> Tensor:
        """Return the scores of the detector, shape (n,)."""
        return self.detector.score(batch)

    def classify(self, batch: Batch) -> Tensor | None:
        """Return the classes of the detector, shape (n,), or None."""
        return self.detector.classify(batch)
