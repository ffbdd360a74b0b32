"""The work of a plan as tasks with names: what depends on what is data, whoever carries it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from oodbench.jobs import Cell, NetworkJob, Plan


@dataclass(frozen=True, kw_only=True)
class Task:
    """A piece of work that one worker does: small enough to be sent anywhere.

    Attributes:
        kind: "train" for a network, "score" for cells that share their networks.
        name: the key of the network, or the file of the first of the cells.
        needs: names of the tasks that must be done before.
        cells: files of the cells to score.
    """

    kind: Literal["train", "score"]
    name: str
    needs: frozenset[str] = frozenset()
    cells: tuple[str, ...] = ()


def groups(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Return cells by the networks that they need, so that each network is trained and loaded once for all its cells.

    Groups with several networks come last: then most of these are trained already.
    """
    by_networks: dict[tuple[str, ...], list[Cell]] = {}
    for cell in cells:
        by_networks.setdefault(cell.network_keys, []).append(cell)
    return sorted(by_networks.values(), key=lambda group: len(group[0].networks))


def name_of(group: Sequence[Cell]) -> str:
    """Return the name of the task that scores a group."""
    return group[0].file.as_posix()


def tasks_of(cells: Sequence[Cell]) -> list[Task]:
    """Return the trainings that cells need, each after what it starts from, and the scoring of each group."""
    trainings = Plan(cells=tuple(cells)).trainings()
    trained = {job.key for job in trainings}
    train = [Task(kind="train", name=job.key, needs=_keys(job.starts) & trained) for job in trainings]
    score = [
        Task(
            kind="score",
            name=name_of(group),
            needs=_keys(group[0].networks) & trained,
            cells=tuple(cell.file.as_posix() for cell in group),
        )
        for group in groups(cells)
    ]
    return [*train, *score]


def _keys(jobs: Sequence[NetworkJob]) -> frozenset[str]:
    return frozenset(job.key for job in jobs)
