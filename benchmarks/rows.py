"""What each post-hoc method takes to be fitted to a million training images, of which only outputs are known.

Features and logits are made up, and lie in mapped files: nothing runs through a network. Each method is fitted and
scored in a process of its own, so that its memory is its own. Left out are methods that look at images, at inner
layers or at gradients: they run the network.

    nice -n 19 python benchmarks/rows.py --rows 1000000 --folder rows
    nice -n 19 python benchmarks/rows.py --rows 1000000 --folder rows --methods knn "knn(max_images=50000)"
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
import resource
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from _scene import machine, threads
from numpy.lib.format import open_memmap
from torch import Tensor, nn

from oodbench.api import FitInputs
from oodbench.batch import Batch
from oodbench.engine.needs import needs_of
from oodbench.engine.request import request
from oodbench.errors import OodbenchError
from oodbench.images import ImageSet
from oodbench.objectives import CrossEntropy
from oodbench.plugins import registry
from oodbench.scoring import classes_of, scores_of

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

STATUS = Path("/proc/self/status")
ROWS_AT_ONCE = 10_000
HELD_OUT = 10_000


class Head(nn.Module):
    """A classifier that is nothing but its last layer.

    Args:
        n_features: of an image.
        n_classes: number of logits.
    """

    def __init__(self, n_features: int, n_classes: int) -> None:
        super().__init__()
        self.head = nn.Linear(n_features, n_classes)

    def features(self, images: Tensor) -> Tensor:
        """Refuse: there are no images."""
        raise LooksAtImages


class LooksAtImages(Exception):
    """A method asked for more than outputs."""


class Rows(Batch):
    """Outputs without images."""

    @property
    def images(self) -> Tensor:
        """Refuse: there are no images."""
        raise LooksAtImages


@dataclass(frozen=True, kw_only=True)
class Made:
    """What is made up.

    Attributes:
        folder: for its files.
        rows: training images.
        scored: images that are scored.
        n_features: of an image.
        n_classes: number of classes.
    """

    folder: Path
    rows: int
    scored: int
    n_features: int
    n_classes: int

    @property
    def network(self) -> Head:
        """The head that gives the logits."""
        torch.manual_seed(0)
        return Head(self.n_features, self.n_classes).eval().requires_grad_(requires_grad=False)

    def write(self) -> None:
        """Write the files that are not there yet: rectified features around a direction for each class."""
        rng = np.random.default_rng(0)
        centres = rng.normal(size=(self.n_classes, self.n_features)).astype(np.float32)
        for name, count in self._sets.items():
            if self._file(name, "logits").is_file():
                continue
            random = np.random.default_rng([1, *name.encode()])
            labels = random.integers(0, self.n_classes, count)
            np.save(self._file(name, "labels"), labels)
            features = open_memmap(self._file(name, "features"), "w+", np.float32, (count, self.n_features))
            logits = open_memmap(self._file(name, "aside"), "w+", np.float32, (count, self.n_classes))
            for start in range(0, count, ROWS_AT_ONCE):
                of = labels[start : start + ROWS_AT_ONCE]
                noise = random.standard_normal((len(of), self.n_features), dtype=np.float32)
                features[start : start + len(of)] = np.maximum(centres[of] + noise, 0)
                part = torch.from_numpy(features[start : start + len(of)])
                logits[start : start + len(of)] = self.network.head(part).numpy()
            logits.flush()
            self._file(name, "aside").rename(self._file(name, "logits"))

    def batch(self, name: str) -> Rows:
        """Return a set with its mapped outputs."""
        count = self._sets[name]
        labels = np.load(self._file(name, "labels"))
        images = np.broadcast_to(np.zeros(1, np.uint8), (count, 1, 1, 1))
        classes = tuple(map(str, range(self.n_classes)))
        source = ImageSet(name=name, images=images, labels=labels, class_names=classes)
        outputs = {key: np.load(self._file(name, key), mmap_mode="r") for key in ("features", "logits")}
        return Rows(source=source, outputs=outputs, rows=np.arange(count), device=torch.device("cpu"))

    @property
    def _sets(self) -> dict[str, int]:
        return {"train": self.rows, "validation": HELD_OUT, "test": self.scored}

    def _file(self, name: str, key: str) -> Path:
        return self.folder / f"{name}-{self._sets[name]}-{self.n_features}-{self.n_classes}-{key}.npy"


@dataclass
class Taken:
    """What a method took.

    Attributes:
        fit: processor seconds.
        score: processor seconds.
        own: highest memory of the process without mapped files, bytes.
        whole: highest memory with the pages of mapped files that were in memory, bytes.
    """

    fit: float = 0.0
    score: float = 0.0
    own: int = 0
    whole: int = 0


@contextmanager
def watched(taken: Taken) -> Iterator[None]:
    """Note the highest memory of the process, within the block."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.01):
            taken.own = max(taken.own, own_memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
        taken.whole = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def own_memory() -> int:
    """Return the bytes that the process holds by itself, without mapped files."""
    found = re.search(r"RssAnon:\s+(\d+)", STATUS.read_text())
    return int(found[1]) << 10 if found else 0


def measure(method: Any, made: Made, answer: Connection) -> None:
    """Fit and score a method, and send what it took, or why it was left out."""
    taken = Taken()
    try:
        with threads(1), warnings.catch_warnings(), watched(taken):
            warnings.simplefilter("ignore")
            train, validation, test = (made.batch(name) for name in ("train", "validation", "test"))
            started = time.process_time()
            detector = method.fit(
                FitInputs(
                    networks=(made.network,),
                    train=train,
                    validation=validation if "id_validation" in method.sees else None,
                    seen_ood=None,
                    ood_test={},
                    n_classes=made.n_classes,
                    seed=0,
                )
            )
            fitted = time.process_time()
            scores_of(detector, test, "it")
            classes_of(detector, test, "it")
            taken.fit, taken.score = fitted - started, time.process_time() - fitted
    except LooksAtImages:
        answer.send("looks at images")
    except (OodbenchError, MemoryError, RuntimeError) as error:
        answer.send(f"{type(error).__name__}: {error}"[:200])
    else:
        answer.send(taken)


def in_a_process(method: Any, made: Made, limit: float) -> Taken | str:
    """Return what a method takes in a process of its own, or why that is not known."""
    # A copy of this process, where that can be: what is imported need not be imported again.
    context = multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=measure, args=(method, made, sender))
    process.start()
    sender.close()
    try:
        return receiver.recv() if receiver.poll(limit) else f"stopped after {limit:.0f} s"
    except EOFError:
        process.join()
        return f"ended with {process.exitcode}"
    finally:
        process.kill()
        process.join()


def chosen_methods(names: Sequence[str]) -> dict[str, Any]:
    """Return the methods of these names and settings; without names, all that see nothing but one classifier."""
    if names:
        resolved = request(["digits"], list(names)).methods["digits"]
        return {name: entry.method for name, entry in zip(names, resolved, strict=True)}
    every = {name: registry.method(name)() for name in registry.names("methods")}
    return {name: method for name, method in every.items() if sees_outputs_only(method)}


def sees_outputs_only(method: Any) -> bool:
    """Return whether a method may do with outputs of one classifier: whether it does is seen when it is run."""
    wants = needs_of(method)
    return (
        tuple(method.networks) == (CrossEntropy(),)
        and not {"gradients", "seen_ood"} & set(wants)
        and not {"seen_ood", "ood_test"} & set(method.sees)
        and not getattr(method, "reads", ())
    )


def table(found: Mapping[str, Taken | str], made: Made) -> Iterator[str]:
    """Yield the lines of a table in Markdown."""
    yield "| method | fit, s | score, s | per 10,000 images, s | own memory, MB | with mapped files, MB |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    for name, taken in found.items():
        if isinstance(taken, str):
            yield f"| {name} | {taken} | | | | |"
            continue
        each = taken.score * 10_000 / made.scored
        yield (
            f"| {name} | {taken.fit:.1f} | {taken.score:.1f} | {each:.2f} | {taken.own / 1e6:,.0f} | "
            f"{taken.whole / 1e6:,.0f} |"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000, help="training images")
    parser.add_argument("--scored", type=int, default=10_000, help="images that are scored")
    parser.add_argument("--features", type=int, default=512)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument(
        "--methods", nargs="+", default=[], help="with settings, as for a run; all that can be by default"
    )
    parser.add_argument("--limit", type=float, default=600, help="seconds for each method")
    parser.add_argument("--folder", type=Path, help="for the files, which are kept; else a temporary one")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        made = Made(
            folder=folder,
            rows=given.rows,
            scored=given.scored,
            n_features=given.features,
            n_classes=given.classes,
        )
        with threads(1):
            print(machine(torch.device("cpu")))
            made.write()
        found = {}
        for name, method in chosen_methods(given.methods).items():
            found[name] = in_a_process(method, made, given.limit)
            print(name, found[name], flush=True)
    print(*table(found, made), sep="\n")


if __name__ == "__main__":
    main()
