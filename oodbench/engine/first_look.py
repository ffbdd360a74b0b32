"""The first look at images that a given model scores: they are decoded in the pass through the network."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from oodbench.metrics import auroc, fpr_at_tpr
from oodbench.objectives import CrossEntropy
from oodbench.progress import SECONDS_BETWEEN_LINES

from .needs import needs_of, unmet
from .outputs import KeptOutputs

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from oodbench.data.loading import BenchmarkData
    from oodbench.store.workspace import Workspace

    from .request import Request


@dataclass(frozen=True, kw_only=True)
class FirstLook:
    """Sends images that nobody has seen through a given model; their digests are learned on the way.

    Attributes:
        wanted: the request, with the model and the methods whose readings are taken.
        workspace: where outputs are kept, and who is told.
        device: to compute on.
    """

    wanted: Request
    workspace: Workspace
    device: torch.device

    def at(self, data: BenchmarkData) -> None:
        """Compute what the model says of the images of a benchmark, of those only that some method scores or learns.

        Raises:
            OodbenchError: an image cannot be decoded, or the model fails.
        """
        model = self.wanted.model
        assert model is not None  # else images are seen before a network is there
        methods = [
            entry.method
            for entry in self.wanted.methods[data.benchmark.name]
            if unmet(entry.name, entry.method, data, model) is None
        ]
        if not any(CrossEntropy() in method.networks for method in methods):
            return
        readings = tuple(dict.fromkeys(reading for method in methods for reading in getattr(method, "reads", ())))
        network = model.on(self.device, data.id_test.shape)
        sets = [data.id_test, *data.ood.values()]
        if data.id_train is not None and any("training_images" in needs_of(method) for method in methods):
            sets.append(data.id_train)
        if data.id_validation is not None and any("id_validation" in method.sees for method in methods):
            sets.append(data.id_validation)
        seen = [images for images in sets if not images.is_seen]
        id_scores: NDArray[np.float64] | None = None
        for images in seen:
            started = time.monotonic()
            outputs = KeptOutputs(network, images, self.workspace, self.device, readings)
            scores = _confidence(outputs) if "logits" in outputs else None
            if images is data.id_test:
                id_scores = scores
            elif (
                id_scores is not None
                and scores is not None
                and images in data.ood.values()
                and time.monotonic() - started >= SECONDS_BETWEEN_LINES
            ):
                self.workspace.report.message(
                    f"first look at {images.name}: the largest softmax tells {auroc(id_scores, scores):.1%} (AUROC), "
                    f"{fpr_at_tpr(id_scores, scores):.1%} pass for in-distribution where 95% of these do"
                )


def _confidence(outputs: KeptOutputs) -> NDArray[np.float64]:
    """Return the largest class probability of each image, shape (n,)."""
    logits = np.asarray(outputs["logits"], dtype=np.float64)
    above = np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1)
    scores: NDArray[np.float64] = 1.0 / above
    return scores
