"""From a request to jobs: which networks are trained, which cells are computed, each once. Nothing is run here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from oodbench.errors import ConfigError, UnknownName, did_you_mean
from oodbench.hashing.code import code_digest
from oodbench.hashing.values import digest
from oodbench.jobs import Cell, GivenNetwork, Plan, TrainingJob
from oodbench.objectives import CrossEntropy
from oodbench.plugins import registry
from oodbench.settings import differences, reconfigure, variant
from oodbench.training.config import TrainConfig, cut_short

from . import measures
from .naming import is_registered
from .request import RECIPE, MethodChoice, Request

if TYPE_CHECKING:
    from oodbench.api import Method, Objective
    from oodbench.benchmark import Benchmark, Recipe
    from oodbench.data.loading import BenchmarkData
    from oodbench.given.model import OwnModel


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
    code = code_digest(method, measures.all_metrics, *measures.of_plugins().values())
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
            f"{data.benchmark.name} has no seen OOD images {wanted!r} for {name}{did_you_mean(str(wanted), data.seen)}"
        )
    return str(wanted)


def _training(
    data: BenchmarkData, objective: Objective, config: TrainConfig, seed: int, seen: str | None
) -> TrainingJob:
    seen = seen if objective.uses_seen_ood else None
    key = _training_key(data, objective, config, seed, seen)
    return TrainingJob(benchmark=data.benchmark, objective=objective, config=config, seed=seed, key=key, seen=seen)


def _training_key(data: BenchmarkData, objective: Objective, config: TrainConfig, seed: int, seen: str | None) -> str:
    from oodbench.training.learner import Learner
    from oodbench.training.loop import train

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
