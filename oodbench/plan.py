"""From a request to jobs: which networks are trained, which cells are computed, each once. Nothing is run here."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import metrics, registry
from .config import reconfigure
from .errors import ConfigError, UnknownName
from .hashing import code_digest, digest
from .objectives import CrossEntropy
from .own_images import is_registered
from .request import RECIPE, MethodChoice, Request
from .training.config import TrainConfig, cut_short

if TYPE_CHECKING:
    from .api import Method, Objective
    from .benchmark import Benchmark, Recipe
    from .data import BenchmarkData
    from .own_model import OwnModel
    from .training.trained import HoldOut


@dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """One network to train.

    Attributes:
        benchmark: names the images and the network.
        objective: what it is trained for.
        config: how long and how fast.
        seed: of everything random in it.
        seen: which of the benchmark's seen OOD images it trains on, or None.
        key: hash of all this and of the images; names the artifact.
    """

    benchmark: Benchmark
    objective: Objective
    config: TrainConfig
    seed: int
    key: str
    seen: str | None = None

    def hold_out(self, data: BenchmarkData) -> HoldOut:
        """Return which of the ID training images the network is trained on, and which are held out."""
        from .training.trained import HoldOut

        labels = data.training_images.labels
        assert labels is not None  # load_benchmark refuses ID sets without labels
        return HoldOut.of(labels, self.benchmark.validation_share, self.config.max_images, self.seed)

    @property
    def label(self) -> str:
        """Short name for messages, such as "mnist-267 ce seed 0"."""
        seen = "" if self.seen is None else f" + {self.seen}"
        return f"{self.benchmark.name} {self.objective.name}{seen} seed {self.seed}"


@dataclass(frozen=True, kw_only=True)
class GivenNetwork:
    """A classifier of a user's own: like a training job that is done.

    Attributes:
        benchmark: names the images.
        model: the classifier.
        objective: what it was trained for, cross-entropy.
        seed: of the held-out images.
        key: hash of the model and of the ID training images.
    """

    benchmark: Benchmark
    model: OwnModel
    objective: Objective
    seed: int
    key: str
    config: None = None
    seen: None = None

    def hold_out(self, data: BenchmarkData) -> HoldOut:
        """Return which of the ID training images methods are fitted on, and which are held out."""
        from .training.trained import HoldOut

        labels = data.training_images.labels
        assert labels is not None  # sets without labels are refused
        return HoldOut.of(labels, self.benchmark.validation_share, None, self.seed)

    @property
    def label(self) -> str:
        """Short name for messages, such as "photos ResNet"."""
        return f"{self.benchmark.name} {self.model.name}"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One benchmark × method × seed: a fitted detector, scored on every OOD set.

    Attributes:
        method_name: as registered.
        method: with its hyper-parameters.
        changed: those that differ from what the recipe prescribes.
        recipe: name of the training recipe, with what was changed of it.
        cut_short: by how much the training is shorter than the full one; "" where it is not.
        networks: that it needs, to be trained or given: one, or several for a method with `members`.
        seed: of the method; a method with `members` has networks of its own for each seed.
        seen: which of the benchmark's seen OOD images it may see, or None.
        key: hash of everything that its scores depend on.
        tests: content of the OOD sets to score, by their names.
        file: name of its record below the results folder.
    """

    method_name: str
    method: Method
    changed: Mapping[str, object]
    recipe: str
    cut_short: str
    networks: tuple[TrainingJob, ...] | tuple[GivenNetwork]
    seed: int
    seen: str | None
    key: str
    tests: Mapping[str, str]
    file: Path

    @property
    def network(self) -> TrainingJob | GivenNetwork:
        """The network that it needs, or the first of several."""
        return self.networks[0]

    @property
    def network_keys(self) -> tuple[str, ...]:
        """The keys of its networks: cells that have the same ones are scored together."""
        return tuple(job.key for job in self.networks)

    @property
    def benchmark(self) -> Benchmark:
        """Where it is scored."""
        return self.network.benchmark

    @property
    def label(self) -> str:
        """Short name for messages, such as "mnist-267 odm (margin=5) seed 0"."""
        return f"{self.benchmark.name} {variant(self.method_name, self.changed)} seed {self.seed}"


def variant(method: str, changed: Mapping[str, object]) -> str:
    """Return a method's name with the hyper-parameters that are not at their defaults.

    >>> variant("odm", {"margin": 5.0})
    'odm (margin=5)'
    """
    if not changed:
        return method
    return f"{method} ({', '.join(f'{name}={short(value)}' for name, value in changed.items())})"


def short(value: object) -> str:
    """Return a value as short as it can be without being mistaken for another one."""
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a request comes down to.

    Attributes:
        cells: all of them, in the order of the tables.
        left_out: why a method is not run on a benchmark, a sentence each.
    """

    cells: tuple[Cell, ...]
    left_out: tuple[str, ...] = ()

    def trainings(self) -> list[TrainingJob]:
        """Return the networks to train that the cells need, each once."""
        jobs = (job for cell in self.cells for job in cell.networks)
        return list({job.key: job for job in jobs if isinstance(job, TrainingJob)}.values())


def make_plan(wanted: Request, data: Mapping[str, BenchmarkData]) -> Plan:
    """Return the jobs of a request.

    Args:
        wanted: with names found.
        data: the images of each benchmark, by its name; their content is part of every key.

    Raises:
        ConfigError: a method that was asked for by name needs images that a benchmark does not have.
    """
    cells, left_out = [], []
    for benchmark in wanted.benchmarks:
        recipe = benchmark.recipes[wanted.recipe or benchmark.recipe]
        for choice in wanted.methods:
            if wanted.model is not None and (reason := _not_on_a_given_network(choice, recipe)):
                if not wanted.every_method:
                    raise ConfigError(f"{reason}; leave {choice.name} out")
                left_out.append(reason)
                continue
            if "seen_ood" in choice.method(recipe).sees and not data[benchmark.name].seen:
                reason = f"{choice.name} needs seen OOD training images, and {benchmark.name} has none"
                if not wanted.every_method:
                    raise ConfigError(f"{reason}; leave {choice.name} out, or choose another benchmark")
                left_out.append(reason)
                continue
            for entry in _variants(choice, benchmark):
                cells += [_cell(wanted, data[benchmark.name], entry, seed) for seed in wanted.seeds]
    return Plan(cells=tuple(cells), left_out=(*wanted.broken, *left_out))


def _not_on_a_given_network(choice: MethodChoice, recipe: Recipe) -> str:
    """Say why a method cannot be scored on a user's own model, or return ""."""
    method = choice.method(recipe)
    if method.objective != CrossEntropy():
        return f"{choice.name} trains a network of its own ({method.objective.name}), and a trained model is given"
    if getattr(method, "members", 1) > 1:
        return f"{choice.name} combines several networks, and one model is given"
    return ""


def _variants(choice: MethodChoice, benchmark: Benchmark) -> list[MethodChoice]:
    """Return the method as it was asked for, or the variants that a benchmark runs where nothing was said."""
    if choice.settings:
        return [choice]
    return [replace(choice, settings=settings) for settings in benchmark.variants.get(choice.name, ({},))]


def _cell(wanted: Request, data: BenchmarkData, choice: MethodChoice, seed: int) -> Cell:
    benchmark = data.benchmark
    name = wanted.recipe or benchmark.recipe
    recipe = benchmark.recipes[name]
    method = choice.method(recipe)
    seen = _seen(choice.name, method, data)
    networks: tuple[TrainingJob, ...] | tuple[GivenNetwork]
    made_by: object
    if wanted.model is not None:
        networks = (_given(wanted.model, method.objective, data, seed),)
        name, cut, made_by = f"given: {wanted.model.name}", "", wanted.model.digest
    else:
        prescribed = recipe.config(method.objective.name)
        config = reconfigure(prescribed, wanted.recipe_settings, of=RECIPE)
        members = getattr(method, "members", 1)
        networks = tuple(_training(data, method.objective, config, seed * members + i, seen) for i in range(members))
        cut, made_by = _cut_short(benchmark, method.objective, config), config
        name = variant(name, differences(config, prescribed))
    tests = {name: images.fingerprint for name, images in data.ood.items()}
    code = code_digest(method, metrics.all_metrics, *metrics.of_plugins().values())
    return Cell(
        method_name=choice.name,
        method=method,
        changed=differences(method, choice.prescribed(recipe)),
        recipe=name,
        cut_short=cut,
        networks=networks,
        seed=seed,
        seen=seen,
        key=digest(
            {
                "kind": "cell",
                "networks": [network.key for network in networks],
                "method": [choice.name, method, code],
                "id_test": data.id_test.fingerprint,
                "seen": None if seen is None else data.seen[seen].fingerprint,
                # Only a method that looks at the OOD test sets gives other scores where there are others.
                "ood_test": tests if "ood_test" in method.sees else None,
            }
        ),
        tests=tests,
        file=Path(benchmark.name)
        / f"{choice.name}-{digest([method, made_by, *_images(data, seen)])[:8]}-seed{seed}.json",
    )


def _images(data: BenchmarkData, seen: str | None) -> list[object]:
    """Return what tells results on a user's own images from those on others of the same name; [] where none are."""
    if is_registered(data.benchmark):
        return []
    images = (data.id_train, data.id_test, None if seen is None else data.seen[seen])
    return [data.benchmark.conversion, *(None if entry is None else entry.fingerprint for entry in images)]


def _given(model: OwnModel, objective: Objective, data: BenchmarkData, seed: int) -> GivenNetwork:
    train = None if data.id_train is None else data.id_train.fingerprint
    key = digest(["given", model.digest, train, data.benchmark.validation_share, seed])
    return GivenNetwork(benchmark=data.benchmark, model=model, objective=objective, seed=seed, key=key)


def _cut_short(benchmark: Benchmark, objective: Objective, config: TrainConfig) -> str:
    full = benchmark.recipes[benchmark.full_recipe].config(objective.name)
    network, full_network = (entry.network or benchmark.network for entry in (config, full))
    other = f"{network} instead of {full_network}" if network != full_network else ""
    return ", ".join(filter(None, (cut_short(config, full), other)))


def _seen(name: str, method: Method, data: BenchmarkData) -> str | None:
    """Return which of the benchmark's seen OOD images a method is given."""
    if "seen_ood" not in method.sees:
        return None
    wanted = getattr(method, "seen", None)
    if wanted is None:
        return next(iter(data.seen))
    if wanted not in data.seen:
        raise UnknownName(
            f"{data.benchmark.name} has no seen OOD images {wanted!r} for {name}"
            f"{registry.did_you_mean(str(wanted), data.seen)}"
        )
    return str(wanted)


def _training(
    data: BenchmarkData, objective: Objective, config: TrainConfig, seed: int, seen: str | None
) -> TrainingJob:
    seen = seen if objective.uses_seen_ood else None
    key = _training_key(data, objective, config, seed, seen)
    return TrainingJob(benchmark=data.benchmark, objective=objective, config=config, seed=seed, key=key, seen=seen)


def _training_key(data: BenchmarkData, objective: Objective, config: TrainConfig, seed: int, seen: str | None) -> str:
    from .training.learner import Learner
    from .training.loop import train

    benchmark = data.benchmark
    seen_images = None if seen is None else data.seen[seen].fingerprint
    network = config.network or benchmark.network
    return digest(
        {
            "kind": "network",
            "network": [network, code_digest(registry.network(network)), benchmark.embedding_dim],
            "objective": [objective.name, objective, code_digest(objective)],
            "images": [data.training_images.fingerprint, seen_images, benchmark.validation_share],
            "config": config,
            "seed": seed,
            "loop": code_digest(train, Learner),
        }
    )


def differences(one: Any, other: Any) -> dict[str, Any]:
    """Return the fields of a dataclass instance that differ from those of another of its class, in order."""
    names = [field.name for field in dataclasses.fields(one)]
    return {name: getattr(one, name) for name in names if getattr(one, name) != getattr(other, name)}
