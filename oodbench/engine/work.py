"""The work of a run: groups of cells that share networks; these are obtained, cells scored, records stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from oodbench.benchmark import COVARIATE
from oodbench.errors import (
    ConfigError,
    OodbenchError,
    PluginError,
    ScoreError,
    TrainingError,
    reported_as,
)
from oodbench.given.order import doubts
from oodbench.jobs import Cell, NetworkJob, ReadyNetwork
from oodbench.store.snapshots import FILE, keep_snapshots

if TYPE_CHECKING:
    import torch

    from oodbench.api import Detector
    from oodbench.data.loading import BenchmarkData
    from oodbench.progress import Reporter
    from oodbench.store.records import Record, ResultStore, Scores
    from oodbench.store.workspace import Workspace

    from .material import Material
    from .request import Request

Outcome = tuple[Cell, "Record | OodbenchError"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Site:
    """Where work finds what it needs, and puts what it makes.

    Attributes:
        data: the images of each benchmark, by its name.
        workspace: where networks and outputs are kept, and who is told.
        results: where records go.
        save_detectors: whether each fitted detector is stored beside its record.
        every_method: whether all methods were asked for: what is left out is then no error, and must be told.
        wanted: the request; None where the images were handed over.
    """

    data: Mapping[str, BenchmarkData]
    workspace: Workspace
    results: ResultStore
    save_detectors: bool = False
    every_method: bool = False
    wanted: Request | None = None

    def tell_left_out(self, cells: Sequence[Cell], error: OodbenchError) -> None:
        """Tell that cells are left out, and why."""
        report = self.workspace.report
        tell = report.warning if self.every_method else report.message
        tell(f"left out: {', '.join(cell.label for cell in cells)}: {error}")


def run_group(group: Sequence[Cell], site: Site, device: torch.device) -> Iterator[Outcome]:
    """Train or load the networks of a group, score its cells, and store the records, one after another.

    A method that cannot be scored gives an error in the place of its record, and the others go on; so do all methods of
    a network whose training fails.

    Args:
        group: cells with the same networks.
        site: with the images.
        device: to compute on.

    Raises:
        OodbenchError: a record cannot be stored.
    """
    try:
        networks = [obtained(job, site, device) for job in group[0].networks]
    except (ConfigError, TrainingError) as error:
        site.tell_left_out(group, error)
        yield from ((cell, error) for cell in group)
        return
    materials: dict[str, Material] = {}
    for cell in group:
        # Benchmarks with the same training images share networks, and have test images of their own.
        name = cell.benchmark.name
        if name not in materials:
            materials[name] = _material(name, group, networks, site, device)
        yield from _score(cell, materials[name], site)


def obtained(job: NetworkJob, site: Site, device: torch.device) -> ReadyNetwork:
    """Return a network, trained or loaded.

    Raises:
        TrainingError: its training fails.
    """
    pictures = site.results.root / job.benchmark.name / "generated"
    with reported_as(TrainingError, f"training {job.label}"):
        return job.obtain(site.data, site.workspace, device, pictures)


def _material(
    benchmark: str, group: Sequence[Cell], networks: Sequence[ReadyNetwork], site: Site, device: torch.device
) -> Material:
    """Return the images of a benchmark as the networks of a group see them, with all that its methods want to read."""
    from .material import Material

    cells = [cell for cell in group if cell.benchmark.name == benchmark]
    readings = dict.fromkeys(reading for cell in cells for reading in getattr(cell.method, "reads", ()))
    jobs = cells[0].networks
    material = Material.of(jobs, networks, site.data[benchmark], site.workspace, device, tuple(readings))
    if name := jobs[0].given.get("name"):
        _doubt(material, name, site.workspace.report)
    return material


def _doubt(material: Material, model: str, report: Reporter) -> None:
    """Tell where a given model seems to have its classes in another order than the images."""
    labels = material.data.id_test.labels
    # A model that fails is told of where it is scored.
    with suppress(Exception):
        logits = material.id_test.logits.numpy(force=True)
        if labels is not None and (doubt := doubts(logits, labels, material.data.class_names, model)):
            report.warning(doubt)


def _score(cell: Cell, material: Material, site: Site) -> Iterator[Outcome]:
    """Score a cell and store its record, and its detector where that is wanted."""
    from .evaluation import evaluate

    report = site.workspace.report
    report.progress(f"scoring {cell.label}", 0, 1)
    try:
        with reported_as(ScoreError, cell.method_name):
            record, scores, fitted = evaluate(cell, material)
    except (ConfigError, ScoreError) as error:
        site.tell_left_out([cell], error)
        yield cell, error
        return
    record, scores = site.results.add(cell.file, record, scores)
    snapshots = site.workspace.artifacts.folder("networks", cell.network.key) / FILE
    if snapshots.is_file():
        keep_snapshots(snapshots.read_bytes(), site.results, cell.file, record)
    report.progress(f"scoring {cell.label}", 1, 1)
    report.message(_summary(cell, record))
    yield cell, record
    if site.save_detectors:
        try:
            report.message(_store_detector(cell, record, scores, fitted, material, site.results))
        except PluginError as error:
            report.message(str(error))
            yield cell, error


def _store_detector(
    cell: Cell, record: Record, scores: Scores, fitted: Detector, material: Material, results: ResultStore
) -> str:
    """Store the detector of a cell beside its record, and say where it is and how large."""
    from oodbench import detector

    channels, height, width = material.data.id_test.shape
    whole = detector.Detector.of(
        record,
        scores,
        fitted,
        networks=tuple(network.module for network in material.networks),
        # The size that images turned out to have, where the benchmark takes them as they are.
        conversion=replace(
            material.data.benchmark.conversion, size=(height, width), channels=1 if channels == 1 else 3
        ),
        readings=tuple(getattr(cell.method, "reads", ())),
        device=material.device,
    )
    file = results.detector_of(cell.file)
    whole.save(file)
    return f"stored the detector {file} ({file.stat().st_size / 1e6:,.1f} MB)"


def _summary(cell: Cell, record: Record) -> str:
    # The record may have sets of earlier runs as well.
    rows = [row for row in record.rows if row.out_dist in cell.tests and row.role != COVARIATE]
    mean = sum(row.metrics["auroc"] for row in rows) / len(rows)
    accuracy = "" if record.accuracy is None else f"ID accuracy {100 * record.accuracy:.2f}%, "
    return f"scored {cell.label}: {accuracy}mean AUROC {100 * mean:.2f} over {len(rows)} OOD sets"
