"""Seconds of all detectors on one ID and several OOD sets: one shared forward pass against pytorch-ood's way.

pytorch-ood's detectors are run one after another as its quick start shows: each is fitted with a DataLoader, then for
each OOD set the ID and the OOD images go through it, and `OODMetrics` gives the results. Ours run as `oodbench run`
runs them: fingerprints of the images, one forward pass on each set, fitting, scores, accuracy, metrics and stored
records all count, and every round has an empty cache. Both get the same network, images, training images,
hyper-parameters and number of threads; rounds alternate; medians are printed. Where both define a score in the same
way, scores are compared. `--together` adds pytorch-ood's quicker way: its `Benchmark` is given all detectors at once,
and keeps the logits and features of a test set for those that can use them.

    python benchmarks/detectors.py --images 10000 --sets 5 --network lenet --threads 1 --rounds 1
"""

from __future__ import annotations

import argparse
import copy
import statistics
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _scene import LAST_MAPS, N_CLASSES, Counted, Scene, Seconds, machine, threads, timed
from torch.utils.data import ConcatDataset, DataLoader, TensorDataset

from oodbench.api import Method
from oodbench.benchmark import Benchmark, OodSet, Part, Recipe
from oodbench.data.loading import BenchmarkData
from oodbench.engine.evaluation import evaluate
from oodbench.engine.material import Material
from oodbench.engine.request import request
from oodbench.engine.runner import Prepared, prepare_with
from oodbench.given.model import GivenModel
from oodbench.images import Conversion
from oodbench.jobs import ReadyNetwork
from oodbench.plugins import registry
from oodbench.store.artifacts import ArtifactStore
from oodbench.store.records import ResultStore
from oodbench.store.workspace import Workspace
from oodbench.training.config import TrainConfig

Scores = dict[str, np.ndarray]
"""Of each OOD set, and of the ID test set under "ID test"."""

SHARED = "forward pass"


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A detector that both have.

    Attributes:
        ours: with equal hyper-parameters.
        make: gives theirs, for a network and the number of training images.
        passes: how often each image goes through their network.
        gradients: whether theirs needs autograd.
        alike: turns our scores into theirs; None where the definitions differ, for the reason that `differs` gives.
        differs: why scores are not compared.
    """

    ours: str | Method
    make: Callable[[Any, Counted], Any]
    passes: int = 1
    gradients: bool = False
    alike: Callable[[np.ndarray, int], np.ndarray] | None = lambda scores, _: -scores
    differs: str = ""


def peers(passes: int) -> dict[str, Peer]:
    """Return the detectors that both have, by our names; `passes` are those of Monte-Carlo dropout.

    pytorch-ood's `MultiMahalanobis` adds up its layers, and ours weighs them by a logistic regression; `LTS`,
    `WeightedEBO`, `GradUncertainty` and `MCM` we do not have.
    """
    return {
        "msp": Peer(ours="msp", make=lambda d, net: d.MaxSoftmax(net)),
        "max_logit": Peer(ours="max_logit", make=lambda d, net: d.MaxLogit(net)),
        "energy": Peer(ours="energy", make=lambda d, net: d.EnergyBased(net)),
        "entropy": Peer(ours="entropy", make=lambda d, net: d.Entropy(net)),
        # A mean over classes where ours is a sum.
        "gen": Peer(
            ours="gen(top=all,floor=1e-7)",
            make=lambda d, net: d.GEN(net),
            alike=lambda scores, _: -scores / N_CLASSES,
        ),
        "klm": Peer(ours="klm(fit_to=train)", make=lambda d, net: d.KLMatching(net)),
        "temperature_scaling": Peer(
            ours="temperature_scaling(solver=pytorch_ood)",
            make=lambda d, net: d.TemperatureScaling(net),
            alike=None,
            differs="theirs fits T to the training images, ours to held-out ones",
        ),
        "openmax": Peer(
            ours="openmax",
            make=lambda d, net: d.OpenMax(net, tailsize=20),
            alike=None,
            differs="theirs depends on the batch",
        ),
        "mahalanobis": Peer(
            ours="mahalanobis",
            make=lambda d, net: d.Mahalanobis(net.features),
            # Half the squared distance, and a covariance that is a sum instead of a mean.
            alike=lambda scores, n_train: -scores / (2 * n_train),
        ),
        "rmds": Peer(
            ours="rmds", make=lambda d, net: d.RMD(net.features), alike=lambda scores, n_train: -scores / n_train
        ),
        "gmm": Peer(ours="gmm", make=lambda d, net: d.GMM(net.features)),
        "knn": Peer(ours="knn(k=50)", make=lambda d, net: d.KNN(net.features)),
        "she": Peer(ours="she", make=lambda d, net: d.SHE(net.features, net.head)),
        "nnguide": Peer(ours="nnguide", make=lambda d, net: d.NNGuide(net.features, net.head)),
        "fdbd": Peer(ours="fdbd", make=lambda d, net: d.fDBD(net.features, net.network.head)),
        "nci": Peer(ours="nci(alpha=0)", make=lambda d, net: d.NCI(net.features, net.network.head)),
        "pnml": Peer(ours="pnml", make=lambda d, net: d.PNML(net.features, net.head)),
        "vim": Peer(
            ours="vim",
            make=lambda d, net: d.ViM(
                net.features, net.network.head.in_features // 2, net.network.head.weight, net.network.head.bias
            ),
        ),
        "react": Peer(ours="react", make=lambda d, net: d.ReAct(net.features, net.head)),
        "ash": Peer(ours="ash(percentile=65)", make=lambda d, net: d.ASH(net.as_maps, net.flat_head)),
        "scale": Peer(ours="scale(percentile=65)", make=lambda d, net: d.SCALE(net.as_maps, net.flat_head)),
        "dice": Peer(
            ours="dice(percentile=70)",
            make=lambda d, net: d.DICE(net.features, net.network.head.weight, net.network.head.bias, p=0.7),
        ),
        "vra": Peer(
            ours="vra(low=1,high=99,below=low,thresholds=unit)",
            make=lambda d, net: d.VRA(net.as_maps, net.flat_head),
        ),
        "gradnorm": Peer(
            ours="gradnorm",
            make=lambda d, net: d.GradNorm(net, param_filter=lambda name: name == "network.head.weight"),
            gradients=True,
        ),
        "nac": Peer(
            ours="nac(spacing=ends,fit_images=1000000)",
            # The dropout behind the features does nothing in evaluation mode.
            make=lambda d, net: d.NACUE(net, [net.dropout]),
            gradients=True,
        ),
        "gram": Peer(
            ours=registry.method("gram")(
                layers=(LAST_MAPS,), powers=(1, 2, 3), divide_by_confidence=False, held_out=0.0
            ),
            make=_gram,
        ),
        "rankfeat": Peer(ours=f"rankfeat(layers={LAST_MAPS})", make=lambda d, net: d.RankFeat(*net.halves)),
        "odin": Peer(
            ours="odin(epsilon=0.0014)",
            make=lambda d, net: d.ODIN(net, eps=0.0014),
            passes=2,
            gradients=True,
        ),
        "mahalanobis_step": Peer(
            ours="mahalanobis(epsilon=0.002)",
            make=lambda d, net: d.MahalanobisODIN(net.features, eps=0.002),
            passes=2,
            gradients=True,
            alike=lambda scores, n_train: -scores / (2 * n_train),
        ),
        "mc_dropout": Peer(
            ours=f"mc_dropout(where=network,passes={passes})",
            make=lambda d, net: d.MCD(net, samples=passes, mode="mean"),
            passes=passes,
            alike=None,
            differs="theirs draws masks for each image",
        ),
    }


def _gram(detectors: Any, net: Counted) -> Any:
    body, rest = net.halves
    detector = detectors.Gram(rest, [body], N_CLASSES, num_poles_list=[1, 2, 3])
    # It draws what it holds out from the global generator.
    detector.validation_fraction = 0.0
    return detector


NEED_PASSES = ("rankfeat", "odin", "mahalanobis_step", "mc_dropout")
"""Methods of ours that put images through the network themselves."""
ALONE = ("isolation_forest", "lof", "oc_svm", "dbscan")
"""Methods that need nothing but features, and that pytorch-ood does not have."""


def theirs(name: str, peer: Peer, scene: Scene, fit: np.ndarray, batch_size: int) -> tuple[Seconds, Scores]:
    """Return how long one of their detectors takes on all sets, and its scores."""
    import pytorch_ood.detector as detectors
    from pytorch_ood.metrics import OODMetrics

    train, test, ood = tensors(scene, fit)
    scores: Scores = {}
    with timed(scene.device) as taken, torch.set_grad_enabled(peer.gradients):
        detector = peer.make(detectors, scene.network).to(scene.device)
        detector.fit(DataLoader(train, batch_size))
        for entry, images in ood.items():
            metrics, pieces = OODMetrics(), []
            for x, y in DataLoader(ConcatDataset([test, images]), batch_size):
                pieces.append(detector(x.to(scene.device)).detach())
                metrics.update(pieces[-1], y)
            metrics.compute()
            values = torch.cat(pieces).double().cpu().numpy()
            scores["ID test"], scores[entry] = values[: len(test)], values[len(test) :]
    if name == "gradnorm":
        # Under vmap the network sees one image where there are many.
        taken.images = sum(len(test) + len(images) for images in ood.values())
    return taken, scores


def theirs_together(peers: Mapping[str, Peer], scene: Scene, fit: np.ndarray, batch_size: int) -> Seconds:
    """Return how long their detectors take where their benchmark is given all of them at once."""
    import pytorch_ood.detector as detectors
    from pytorch_ood.benchmark import Benchmark as TheirBenchmark

    train, test, ood = tensors(scene, fit)

    class Scenes(TheirBenchmark):
        ood_names = tuple(ood)

        def train_set(self) -> TensorDataset:
            return train

        def test_sets(self, known: bool = True, unknown: bool = True) -> list[ConcatDataset]:  # noqa: FBT001, FBT002
            return [ConcatDataset([test, images]) for images in ood.values()]

    # They know what can be shared by the identity of the function that computes it.
    network = copy.copy(scene.network)
    network.features = network.features  # type: ignore[method-assign]
    with timed(scene.device) as taken, torch.set_grad_enabled(any(peer.gradients for peer in peers.values())):
        made = [peer.make(detectors, network).to(scene.device) for peer in peers.values()]
        for detector in made:
            detector.fit(DataLoader(train, batch_size))
        Scenes().evaluate(made, loader_kwargs={"batch_size": batch_size}, device=str(scene.device))
    return taken


def tensors(scene: Scene, fit: np.ndarray) -> tuple[TensorDataset, TensorDataset, dict[str, TensorDataset]]:
    """Return the images to fit, the ID and the OOD test images as torch's data sets."""

    def dataset(images: np.ndarray, labels: np.ndarray) -> TensorDataset:
        return TensorDataset(torch.tensor(images).float() / 255, torch.tensor(labels))

    assert scene.train.labels is not None  # made with labels
    assert scene.id_test.labels is not None
    train = dataset(scene.train.images[fit], scene.train.labels[fit])
    test = dataset(scene.id_test.images, scene.id_test.labels)
    ood = {entry: dataset(images.images, np.full(len(images), -1)) for entry, images in scene.ood.items()}
    return train, test, ood


def ours(names: Mapping[str, str | Method], scene: Scene) -> tuple[dict[str, Seconds], dict[str, Scores]]:
    """Return how long each of our methods and the shared forward pass take, and the scores of the methods."""
    taken, scores = dict[str, Seconds](), dict[str, Scores]()
    with tempfile.TemporaryDirectory() as folder:
        with timed(scene.device) as shared:
            prepared, material = _set_up(list(names.values()), scene.again(), Path(folder))
            for batch in (material.train, material.id_test, *material.ood.values()):
                _ = batch.logits
        taken[SHARED] = shared
        for name, cell in zip(names, prepared.to_do(), strict=True):
            with timed(scene.device) as seconds:
                record, found, _ = evaluate(cell, material)
                prepared.results.save(cell.file, record, found)
            taken[name], scores[name] = seconds, {"ID test": found.id, **found.ood}
    return taken, scores


def _set_up(methods: Sequence[str | Method], scene: Scene, folder: Path) -> tuple[Prepared, Material]:
    benchmark = Benchmark(
        name="scene",
        title="made-up images",
        source="benchmarks/detectors.py",
        id_train=Part(dataset="ID train", split="train"),
        id_test=Part(dataset="ID test"),
        ood=tuple(OodSet(name=name, part=Part(dataset=name), role="anomaly") for name in scene.ood),
        conversion=Conversion(),
        network="given",
        recipes={"default": Recipe(default=TrainConfig())},
    )
    data = BenchmarkData(
        benchmark=benchmark, id_train=scene.train, id_test=scene.id_test, seen={}, ood=scene.ood, missing={}
    )
    workspace, device = Workspace(artifacts=ArtifactStore(folder / "cache")), scene.device
    model = GivenModel.of(scene.network, normalise="none")
    prepared = prepare_with(
        request([benchmark], methods, model=model),
        {benchmark.name: data},
        results=ResultStore(folder / "results"),
        workspace=workspace,
        devices=(device,),
    )
    # As the engine loads a network that it has trained.
    module = copy.deepcopy(scene.network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    module.eval().requires_grad_(requires_grad=False)
    network = ReadyNetwork(module=module, digest=model.digest, facts={"seconds": 0.0, "device": device.type})
    readings = dict.fromkeys(reading for cell in prepared.plan.cells for reading in getattr(cell.method, "reads", ()))
    jobs = prepared.plan.cells[0].networks
    return prepared, Material.of(jobs, [network], data, workspace, device, tuple(readings))


def fitted_images(scene: Scene) -> np.ndarray:
    """Return the indices of the training images that our methods are fitted to; the others are held out."""
    with tempfile.TemporaryDirectory() as folder:
        return _set_up(["msp"], scene, Path(folder))[1].train.rows


def deviations(
    ours: Scores, theirs: Scores, alike: Callable[[np.ndarray, int], np.ndarray], n_train: int
) -> np.ndarray:
    """Return the relative differences of all scores; scores next to 0 count with the spread of all."""
    mine, other = (np.concatenate([scores[name] for name in ours]) for scores in (ours, theirs))
    return np.asarray(np.abs(alike(mine, n_train) - other) / np.maximum(np.abs(other), other.std()))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000, help="in each test set, and for fitting")
    parser.add_argument("--sets", type=int, default=5, help="OOD sets")
    parser.add_argument("--network", choices=["lenet", "resnet18"], default="lenet")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=200, help="of pytorch-ood's loaders")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--without-odin", action="store_true")
    parser.add_argument("--without", nargs="*", default=[], help="more detectors to leave out")
    parser.add_argument("--together", action="store_true", help="also time pytorch-ood's benchmark with a list")
    parser.add_argument("--dropout-passes", type=int, default=0, help="of Monte-Carlo dropout; 0 leaves it out")
    parser.add_argument("--alone", action="store_true", help="also time methods that pytorch-ood does not have")
    given = parser.parse_args(arguments)
    left_out = {*given.without, *(["odin"] if given.without_odin else [])}
    left_out |= set() if given.dropout_passes else {"mc_dropout"}
    both = {name: peer for name, peer in peers(given.dropout_passes or 1).items() if name not in left_out}
    with threads(given.threads), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        measure(given, both)


def measure(given: argparse.Namespace, both: Mapping[str, Peer]) -> None:
    """Run all rounds and print the table."""
    device = torch.device(given.device)
    print(machine(device), flush=True)
    # The network and the libraries are warm when the clock starts.
    for n_images, counts in ((20, False), (given.images, True)):
        scene = Scene.of(given.network, n_images=n_images, n_sets=given.sets, n_train=max(n_images, 500), device=device)
        fit = fitted_images(scene)
        rounds = given.rounds if counts else 1
        other: dict[str, list[Seconds]] = {name: [] for name in both}
        mine: dict[str, list[Seconds]] = {name: [] for name in (SHARED, *both)}
        scores_other: dict[str, Scores] = {}
        for _ in range(rounds):
            taken, scores_mine = ours({name: peer.ours for name, peer in both.items()}, scene)
            for name, seconds in taken.items():
                mine[name].append(seconds)
            for name, peer in both.items():
                seconds, scores_other[name] = theirs(name, peer, scene, fit, given.batch_size)
                other[name].append(seconds)
    print(
        f"{given.network}, {given.images:,} ID test images, {given.sets} OOD sets of {given.images:,}, "
        f"{len(fit):,} images to fit, medians of {given.rounds} rounds"
    )
    medians = {k: median(v) for k, v in mine.items()}, {k: median(v) for k, v in other.items()}
    print_table(both, *medians)
    if given.together:
        shared = {name: peer for name, peer in both.items() if name not in NEED_PASSES}
        together = median([theirs_together(shared, scene, fit, given.batch_size) for _ in range(rounds)])
        mine_shared = sum((medians[0][name] for name in shared), medians[0][SHARED])
        print(
            f"pytorch-ood's benchmark with {', '.join(shared)} at once: {together.wall:.2f} s wall, "
            f"{together.cpu:.2f} s CPU; oodbench {mine_shared.wall:.2f} and {mine_shared.cpu:.2f}: ratio "
            f"{together.wall / mine_shared.wall:.1f}, {together.cpu / mine_shared.cpu:.1f}"
        )
    for name, peer in both.items():
        if peer.alike is None:
            print(f"scores of {name} are not compared: {peer.differs}")
        else:
            differ = deviations(scores_mine[name], scores_other[name], peer.alike, len(fit))
            print(
                f"scores of {name} differ by at most {differ.max():.1e}, "
                f"{np.count_nonzero(differ > 1e-4):,} of {len(differ):,} by more than 1e-4"
            )
    if given.alone:
        taken, _ = ours({name: name for name in ALONE}, scene)
        print("methods that pytorch-ood does not have, after the forward pass:")
        for name in ALONE:
            print(f"{name:18}{taken[name].wall:10.2f} s wall{taken[name].cpu:10.2f} s CPU")
    print(machine(device))


def median(rounds: Sequence[Seconds]) -> Seconds:
    """Return the medians of wall and CPU seconds."""
    return Seconds(
        statistics.median(entry.wall for entry in rounds),
        statistics.median(entry.cpu for entry in rounds),
        rounds[0].images,
    )


def print_table(both: Mapping[str, Peer], mine: Mapping[str, Seconds], other: Mapping[str, Seconds]) -> None:
    """Print a line for each detector, and totals."""
    print(
        f"{'':18}{'pytorch-ood: wall':>18}{'CPU s':>9}{'images':>12}{'oodbench: wall':>18}{'CPU s':>9}{'images':>12}"
        f"{'ratio: wall':>13}{'CPU':>7}"
    )

    def line(name: str, theirs: Seconds | None, ours: Seconds) -> None:
        left = " " * 39 if theirs is None else f"{theirs.wall:18.2f}{theirs.cpu:9.2f}{theirs.images:12,}"
        ratio = "" if theirs is None else f"{theirs.wall / ours.wall:13.1f}{theirs.cpu / ours.cpu:7.1f}"
        print(f"{name:18}{left}{ours.wall:18.2f}{ours.cpu:9.2f}{ours.images:12,}{ratio}")

    line(SHARED, None, mine[SHARED])
    for name in both:
        line(name, other[name], mine[name])

    def total(title: str, without: Sequence[str]) -> None:
        names = [name for name in both if name not in without]
        line(title, sum((other[name] for name in names), Seconds()), sum((mine[name] for name in names), mine[SHARED]))

    total("all", ())
    for title, without in (
        ("with ODIN alone", set(NEED_PASSES) - {"odin"}),
        ("without passes", set(NEED_PASSES)),
        ("and no OpenMax", {*NEED_PASSES, "openmax"}),
    ):
        total(title, sorted(without))


if __name__ == "__main__":
    main()
