"""What remains to be done of a run: groups of cells that share networks, on one device or on several."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from oodbench.errors import (
    ConfigError,
    OodbenchError,
    PluginError,
    ScoreError,
    TrainingError,
    reported_as,
)
from oodbench.given.order import doubts
from oodbench.jobs import Cell, TrainingJob

if TYPE_CHECKING:
    import torch

    from oodbench.data.loading import BenchmarkData
    from oodbench.detector import Detector
    from oodbench.engine.evaluation import Bench
    from oodbench.progress import Reporter
    from oodbench.store.artifacts import ArtifactStore
    from oodbench.store.records import Record, ResultStore

Outcome = tuple[Cell, "Record | OodbenchError"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Place:
    """Where work finds what it needs, and puts what it makes.

    Attributes:
        data: the images of each benchmark, by its name.
        artifacts: where networks and outputs are kept.
        results: where records go.
        save_detectors: whether each fitted detector is stored beside its record.
    """

    data: Mapping[str, BenchmarkData]
    artifacts: ArtifactStore
    results: ResultStore
    save_detectors: bool = False


def groups(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Return cells by the networks that they need, so that each network is trained and loaded once for all its cells.

    Groups with several networks come last: then most of these are trained already.
    """
    by_networks: dict[tuple[str, ...], list[Cell]] = {}
    for cell in cells:
        by_networks.setdefault(cell.network_keys, []).append(cell)
    return sorted(by_networks.values(), key=lambda group: len(group[0].networks))


def do(group: Sequence[Cell], place: Place, device: torch.device, report: Reporter) -> Iterator[Outcome]:
    """Train or load the networks of a group, score its cells, and store the records, one after another.

    A method that cannot be scored gives an error in the place of its record, and the others go on; so do all methods of
    a network whose training fails.

    Args:
        group: cells with the same networks.
        place: with the images.
        device: to compute on.
        report: told what is going on.

    Raises:
        OodbenchError: a record cannot be stored.
    """
    from oodbench.detector import Detector
    from oodbench.training.trained import network_of

    from .evaluation import Bench, evaluate

    jobs = group[0].networks
    data = place.data[jobs[0].benchmark.name]
    pictures = place.results.root / data.benchmark.name / "generated"
    try:
        with reported_as(TrainingError, f"training {jobs[0].label}"):
            networks = [
                network_of(job, data, place.artifacts, device, report, pictures=pictures)
                if isinstance(job, TrainingJob)
                else job.model.on(device)
                for job in jobs
            ]
    except TrainingError as error:
        report.message(f"left out: {', '.join(cell.label for cell in group)}: {error}")
        yield from ((cell, error) for cell in group)
        return
    # Benchmarks with the same training images share networks, and have test images of their own.
    benches = {
        cell.benchmark.name: Bench.of(
            cell.networks, networks, place.data[cell.benchmark.name], place.artifacts, device, report
        )
        for cell in {cell.benchmark.name: cell for cell in group}.values()
    }
    if not isinstance(jobs[0], TrainingJob):
        for bench in benches.values():
            _doubt(bench, jobs[0].model.name, report)
    for cell in group:
        bench = benches[cell.benchmark.name]
        report.progress(f"scoring {cell.label}", 0, 1)
        try:
            with reported_as(ScoreError, cell.method_name):
                record, scores, fitted = evaluate(cell, bench)
        except (ConfigError, ScoreError) as error:
            report.message(f"left out: {cell.label}: {error}")
            yield cell, error
            continue
        record, scores = place.results.with_other_sets(cell.file, record, scores)
        record = place.results.save(cell.file, record, scores)
        report.progress(f"scoring {cell.label}", 1, 1)
        report.message(_summary(cell, record))
        yield cell, record
        if place.save_detectors:
            try:
                report.message(_save(Detector.of(record, scores, fitted, bench), place.results.detector_of(cell.file)))
            except PluginError as error:
                report.message(str(error))
                yield cell, error


def _doubt(bench: Bench, model: str, report: Reporter) -> None:
    """Tell where a given model seems to have its classes in another order than the images."""
    labels = bench.data.id_test.labels
    # A model that fails is told of where it is scored.
    with suppress(Exception):
        logits = bench.id_test.logits.numpy(force=True)
        if labels is not None and (doubt := doubts(logits, labels, bench.data.class_names, model)):
            report.message(doubt)


def _save(detector: Detector, file: Path) -> str:
    """Store a detector, and say where it is and how large."""
    detector.save(file)
    return f"stored the detector {file} ({file.stat().st_size / 1e6:,.1f} MB)"


def _summary(cell: Cell, record: Record) -> str:
    # The record may have sets of earlier runs as well.
    rows = [row for row in record.rows if row.out_dist in cell.tests]
    mean = sum(row.metrics["auroc"] for row in rows) / len(rows)
    accuracy = "" if record.accuracy is None else f"ID accuracy {100 * record.accuracy:.2f}%, "
    return f"scored {cell.label}: {accuracy}mean AUROC {100 * mean:.2f} over {len(rows)} OOD sets"
