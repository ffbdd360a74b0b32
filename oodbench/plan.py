"""From names to jobs: which networks are trained, which cells are computed, each once. Nothing is run here."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import metrics, registry
from .config import changed_fields, configure, parse_settings, reconfigure
from .errors import ConfigError, UnknownName
from .hashing import code_digest, digest
from .training.config import TrainConfig, cut_short

if TYPE_CHECKING:
    from .api import Method, Objective
    from .benchmark import Benchmark
    from .data import BenchmarkData

Settings = Mapping[str, Mapping[str, object]]
"""By owner (a method's name, or "recipe"): settings by name."""

RECIPE = "recipe"


@dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """One network to train.

    Attributes:
        benchmark: names the images and the network.
        objective: what it is trained for.
        config: how long and how fast.
        seed: of everything random in it.
        key: hash of all this and of the images; names the artifact.
    """

    benchmark: Benchmark
    objective: Objective
    config: TrainConfig
    seed: int
    key: str

    @property
    def label(self) -> str:
        """Short name for messages, such as "mnist-267 ce seed 0"."""
        seen = " + ood" if self.objective.uses_seen_ood else ""
        return f"{self.benchmark.name} {self.objective.name}{seen} seed {self.seed}"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One benchmark × method × seed: a fitted detector, scored on every OOD set.

    Attributes:
        method_name: as registered.
        method: with its hyper-parameters.
        recipe: name of the training recipe, with what was changed of it.
        cut_short: by how much the training is shorter than the full one; "" where it is not.
        training: the network that it needs.
        key: hash of everything that the result depends on.
        file: name of its record below the results folder.
    """

    method_name: str
    method: Method
    recipe: str
    cut_short: str
    training: TrainingJob
    key: str
    file: Path

    @property
    def benchmark(self) -> Benchmark:
        """Where it is scored."""
        return self.training.benchmark

    @property
    def seed(self) -> int:
        """Of the training and of the method."""
        return self.training.seed

    @property
    def label(self) -> str:
        """Short name for messages, such as "mnist-267 odm (margin=5) seed 0"."""
        return f"{self.benchmark.name} {variant(self.method_name, changed_fields(self.method))} seed {self.seed}"


def variant(method: str, changed: Mapping[str, object]) -> str:
    """Return a method's name with the hyper-parameters that are not at their defaults.

    >>> variant("odm", {"margin": 5.0})
    'odm (margin=5)'
    """
    if not changed:
        return method
    return f"{method} ({', '.join(f'{name}={_short(value)}' for name, value in changed.items())})"


def _short(value: object) -> str:
    """Return a value as short as it can be without being mistaken for another one."""
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a user asks for, with all names found and all settings checked.

    Attributes:
        benchmarks: to run, in order.
        methods: by name, with their hyper-parameters.
        every_method: whether all methods were asked for; those that a benchmark cannot serve are then left out.
        recipe: name of a training recipe, or None for each benchmark's default.
        recipe_settings: changes to that recipe.
        seeds: to run with.
    """

    benchmarks: tuple[Benchmark, ...]
    methods: Mapping[str, Method]
    every_method: bool
    recipe: str | None
    recipe_settings: Mapping[str, object]
    seeds: tuple[int, ...]


def request(
    benchmarks: Sequence[str | Benchmark],
    methods: Sequence[str | Method],
    *,
    seeds: int = 1,
    recipe: str | None = None,
    settings: Settings | Sequence[str] = (),
) -> Request:
    """Find names and check settings, before anything is loaded.

    Args:
        benchmarks: names, or benchmarks of your own.
        methods: names, or methods with hyper-parameters of your own; "all" for every installed method.
        seeds: how many: 0 … seeds − 1.
        recipe: name of a training recipe that every benchmark has.
        settings: by owner ("odm", "recipe"), or texts such as "odm.margin=5".

    Raises:
        UnknownName: a name is unknown; the message names the nearest ones.
        ConfigError: a setting has a value that it cannot have.
    """
    if seeds < 1:
        raise ConfigError(f"--seeds must be at least 1, got {seeds}")
    given = settings if isinstance(settings, Mapping) else parse_settings(settings)
    found = tuple(registry.benchmark(entry) if isinstance(entry, str) else entry for entry in _unique(benchmarks))
    every = "all" in methods
    wanted = _unique([*registry.names("methods"), *methods] if every else methods)
    chosen = dict(_named(entry, given) for entry in wanted if entry != "all")
    if every:
        # Methods that share a network stand together, and those that see more come last.
        chosen = dict(sorted(chosen.items(), key=lambda item: (len(item[1].sees), item[1].objective.name, item[0])))
    if unknown := [owner for owner in given if owner not in chosen and owner != RECIPE]:
        known = [*chosen, RECIPE]
        raise UnknownName(
            f"settings for {unknown[0]!r}, which is no method of this run{registry.did_you_mean(unknown[0], known)}"
        )
    for benchmark in found:
        if recipe is not None and recipe not in benchmark.recipes:
            raise UnknownName(
                f"benchmark {benchmark.name} has no recipe {recipe!r}{registry.did_you_mean(recipe, benchmark.recipes)}"
            )
        for config in benchmark.recipes[recipe or benchmark.recipe].objectives.values():
            reconfigure(config, given.get(RECIPE, {}), of=RECIPE)
        reconfigure(benchmark.recipes[recipe or benchmark.recipe].default, given.get(RECIPE, {}), of=RECIPE)
    return Request(
        benchmarks=found,
        methods=chosen,
        every_method=every,
        recipe=recipe,
        recipe_settings=given.get(RECIPE, {}),
        seeds=tuple(range(seeds)),
    )


def _unique(entries: Sequence[Any]) -> list[Any]:
    return [entry for i, entry in enumerate(entries) if entry not in entries[:i]]


def _named(entry: str | Method, settings: Settings) -> tuple[str, Method]:
    if isinstance(entry, str):
        return entry, configure(registry.method(entry), settings.get(entry, {}), of=entry)
    registered = (name for name in registry.names("methods") if registry.method(name) is type(entry))
    name = next(registered, type(entry).__name__.lower())
    return name, reconfigure(entry, settings.get(name, {}), of=name)


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
        """Return the networks that the cells need, each once."""
        return list({cell.training.key: cell.training for cell in self.cells}.values())


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
        for name, method in wanted.methods.items():
            if "seen_ood" in method.sees and benchmark.seen is None:
                reason = f"{name} needs seen OOD training images, and {benchmark.name} has none"
                if not wanted.every_method:
                    raise ConfigError(f"{reason}; leave {name} out, or choose another benchmark")
                left_out.append(reason)
                continue
            cells += [_cell(wanted, data[benchmark.name], name, method, seed) for seed in wanted.seeds]
    return Plan(cells=tuple(cells), left_out=tuple(left_out))


def _cell(wanted: Request, data: BenchmarkData, name: str, method: Method, seed: int) -> Cell:
    benchmark, objective = data.benchmark, method.objective
    recipe = wanted.recipe or benchmark.recipe
    config = reconfigure(benchmark.recipes[recipe].config(objective.name), wanted.recipe_settings, of=RECIPE)
    full = benchmark.recipes[benchmark.full_recipe].config(objective.name)
    training = TrainingJob(
        benchmark=benchmark,
        objective=objective,
        config=config,
        seed=seed,
        key=_training_key(data, objective, config, seed),
    )
    tests = [(ood.name, ood.role, data.ood[ood.name].fingerprint) for ood in benchmark.ood if ood.name in data.ood]
    key = digest(
        [
            "cell",
            training.key,
            name,
            method,
            code_digest(method),
            data.id_test.fingerprint,
            tests,
            code_digest(metrics.all_metrics),
        ]
    )
    return Cell(
        method_name=name,
        method=method,
        recipe=variant(recipe, _differences(config, benchmark.recipes[recipe].config(objective.name))),
        cut_short=cut_short(config, full),
        training=training,
        key=key,
        file=Path(benchmark.name) / f"{name}-{digest([method, config])[:8]}-seed{seed}.json",
    )


def _training_key(data: BenchmarkData, objective: Objective, config: TrainConfig, seed: int) -> str:
    from .training.learner import Learner
    from .training.loop import train

    benchmark = data.benchmark
    seen = data.seen.fingerprint if objective.uses_seen_ood and data.seen is not None else None
    builder = registry.network(benchmark.network)
    return digest(
        {
            "kind": "network",
            "network": [benchmark.network, code_digest(builder), benchmark.embedding_dim],
            "objective": [objective.name, objective, code_digest(objective)],
            "images": [data.id_train.fingerprint, seen, benchmark.validation_share],
            "config": config,
            "seed": seed,
            "loop": code_digest(train, Learner),
        }
    )


def _differences(config: TrainConfig, base: TrainConfig) -> dict[str, Any]:
    return {
        field.name: getattr(config, field.name)
        for field in dataclasses.fields(config)
        if getattr(config, field.name) != getattr(base, field.name)
    }
