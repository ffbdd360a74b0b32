"""From a request to jobs: which networks are trained, which cells are computed, each once. Nothing is run here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oodbench.data.altering import altered
from oodbench.errors import UnknownName, did_you_mean
from oodbench.given.network import GivenNetwork
from oodbench.hashing.code import code_digest
from oodbench.hashing.values import digest
from oodbench.jobs import Cell, NetworkJob, Plan
from oodbench.plugins import registry
from oodbench.settings import differences, reconfigure, variant
from oodbench.training.config import TrainConfig, cut_short
from oodbench.training.job import TrainingJob
from oodbench.tuning import Tuned

from . import measures
from .naming import is_registered
from .needs import needs_of, unmet
from .request import RECIPE, Request, ResolvedMethod

if TYPE_CHECKING:
    from oodbench.api import Method, Objective
    from oodbench.benchmark import Benchmark
    from oodbench.data.loading import BenchmarkData
    from oodbench.given.model import GivenModel


def make_plan(wanted: Request, data: Mapping[str, BenchmarkData]) -> Plan:
    """Return the jobs of a request.

    Args:
        wanted: with names found and methods resolved.
        data: the images of each benchmark, by its name; their content is part of every key.

    Raises:
        ConfigError: a method that was asked for by name needs what a benchmark does not have.
    """
    cells, left_out = [], []
    for benchmark in wanted.benchmarks:
        own = data[benchmark.name]
        for entry in wanted.methods[benchmark.name]:
            if reason := unmet(entry.name, entry.method, own, wanted.model):
                if not wanted.every_method:
                    raise reason
                left_out.append(str(reason))
                continue
            cells += [_cell(wanted, own, entry, seed) for seed in wanted.seeds]
    # A method with variants is left out once.
    return Plan(cells=tuple(cells), left_out=(*wanted.broken, *dict.fromkeys(left_out)))


def _cell(wanted: Request, data: BenchmarkData, entry: ResolvedMethod, seed: int) -> Cell:
    benchmark, method = data.benchmark, entry.method
    seen = _seen(entry.name, method, data)
    networks, name, cut, made_by = _networks(wanted, data, method, seed, seen)
    tests = {name: images.fingerprint for name, images in data.ood.items()}
    validation = data.id_validation if "id_validation" in method.sees else None
    ood_validation = data.ood_validation if "ood_validation" in method.sees else {}
    inner = (method.method, altered) if isinstance(method, Tuned) else ()
    code = code_digest(method, *inner, measures.all_metrics, *measures.CODE, *measures.of_plugins().values())
    return Cell(
        method_name=entry.name,
        method=method,
        changed=entry.changed,
        recipe=name,
        cut_short=cut,
        networks=networks,
        seed=seed,
        seen=seen,
        key=digest(
            {
                "kind": "cell",
                "networks": [network.key for network in networks],
                "method": [entry.name, method, code],
                "id_test": data.id_test.fingerprint,
                "seen": None if seen is None else data.seen[seen].fingerprint,
                # Only a method that looks at the OOD test sets gives other scores where there are others.
                "ood_test": tests if "ood_test" in method.sees else None,
                **({} if validation is None else {"id_validation": validation.fingerprint}),
                **{f"ood_validation {name}": images.fingerprint for name, images in ood_validation.items()},
            }
        ),
        tests=tests,
        file=Path(benchmark.name)
        / f"{entry.name}-{digest([method, made_by, *_images(data, seen)])[:8]}-seed{seed}.json",
    )


def _networks(
    wanted: Request, data: BenchmarkData, method: Method, seed: int, seen: str | None
) -> tuple[tuple[NetworkJob, ...], str, str, object]:
    """Return the networks of a cell, the name of its recipe, by how much that is cut short, and what names its file."""
    if wanted.model is not None:
        given = _given(wanted.model, method.networks[0], data, seed)
        return (given,), f"given: {wanted.model.name}", "", wanted.model.digest
    objectives = method.networks
    jobs = tuple(
        # Equal objectives differ in their seeds; one that stands alone has the seed of the run.
        _training(wanted, data, objective, seed * objectives.count(objective) + objectives[:i].count(objective), seen)
        for i, objective in enumerate(objectives)
    )
    benchmark = data.benchmark
    recipe = wanted.recipe or benchmark.recipe
    prescribed = benchmark.recipes[recipe].config(objectives[0].name)
    name = variant(recipe, differences(jobs[0].config, prescribed))
    cuts = (_cut_short(benchmark, job.objective, job.config) for job in jobs)
    configs = list(dict.fromkeys(job.config for job in jobs))
    return jobs, name, ", ".join(filter(None, dict.fromkeys(cuts))), configs[0] if len(configs) == 1 else configs


def _images(data: BenchmarkData, seen: str | None) -> list[object]:
    """Return what tells results on a user's own images from those on others of the same name; [] where none are."""
    if is_registered(data.benchmark):
        return []
    images = (data.id_train, data.id_test, None if seen is None else data.seen[seen])
    return [data.benchmark.conversion, *(None if entry is None else entry.fingerprint for entry in images)]


def _given(model: GivenModel, objective: Objective, data: BenchmarkData, seed: int) -> GivenNetwork:
    train = None if data.id_train is None else data.id_train.fingerprint
    key = digest(["given", model.digest, train, data.benchmark.validation_share, seed])
    return GivenNetwork(
        benchmark=data.benchmark, model=model, objective=objective, seed=seed, key=key, shape=data.id_test.shape
    )


def _cut_short(benchmark: Benchmark, objective: Objective, config: TrainConfig) -> str:
    full = benchmark.recipes[benchmark.full_recipe].config(objective.name)
    network, full_network = (entry.network or benchmark.network for entry in (config, full))
    other = f"{network} instead of {full_network}" if network != full_network else ""
    return ", ".join(filter(None, (cut_short(config, full), other)))


def _seen(name: str, method: Method, data: BenchmarkData) -> str | None:
    """Return which of the benchmark's seen OOD images a method is given."""
    if "seen_ood" not in needs_of(method):
        return None
    wanted = getattr(method, "seen", None)
    if wanted is None:
        return next(iter(data.seen))
    if wanted not in data.seen:
        raise UnknownName(
            f"{data.benchmark.name} has no seen OOD images {wanted!r} for {name}{did_you_mean(str(wanted), data.seen)}"
        )
    return str(wanted)


def _training(wanted: Request, data: BenchmarkData, objective: Objective, seed: int, seen: str | None) -> TrainingJob:
    """Return the training of an objective, after that of the one that it starts from."""
    benchmark = data.benchmark
    recipe = benchmark.recipes[wanted.recipe or benchmark.recipe]
    config = reconfigure(recipe.config(objective.name), wanted.recipe_settings, of=RECIPE)
    first: Objective | None = getattr(objective, "starts_from", None)
    start = None if first is None else _training(wanted, data, first, seed, seen)
    own_seen = seen if objective.uses_seen_ood else None
    return TrainingJob(
        benchmark=benchmark,
        objective=objective,
        config=config,
        seed=seed,
        key=_training_key(data, objective, config, seed, own_seen, start),
        seen=own_seen,
        start=start,
        snapshots=wanted.snapshots,
        train_again=wanted.train_again,
    )


def _training_key(
    data: BenchmarkData,
    objective: Objective,
    config: TrainConfig,
    seed: int,
    seen: str | None,
    start: TrainingJob | None,
) -> str:
    from oodbench.training.augment import augmented
    from oodbench.training.learner import Learner
    from oodbench.training.loop import train

    benchmark = data.benchmark
    network = config.network or benchmark.network
    parts: dict[str, Any] = {
        "kind": "network",
        "network": [network, code_digest(registry.network(network)), benchmark.embedding_dim],
        "objective": [objective.name, objective, code_digest(objective)],
        "images": [
            data.training_images.fingerprint,
            None if seen is None else data.seen[seen].fingerprint,
            benchmark.validation_share,
            # What is learnt from clean images alone depends on which these are.
            *([data.n_others] if getattr(objective, "clean_share", 0.0) else []),
        ],
        "config": config,
        "seed": seed,
        "start": None if start is None else start.key,
        "loop": code_digest(train, Learner, augmented, TrainConfig),
    }
    return digest(parts)
