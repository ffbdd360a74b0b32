"""An auto-encoder whose codes are clustered, and how its clusters are found and drawn together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from oodbench.errors import ConfigError
from oodbench.networks.autoencoder import Autoencoder

from ._look_first import LookFirstLearner

if TYPE_CHECKING:
    from oodbench.training.learner import Setting

    from .dec import Clustering

MOST_LOOKED_AT = 10_000
"""Images whose codes k-means is given, at most."""
K_MEANS_STARTS = 20
"""As in DEC's public code."""


def soft_assignment(squared_distances: Tensor) -> Tensor:
    """Return q, each image's share in each cluster, shape (n, n_clusters): Student's t with one degree of freedom.

    Source: Xie et al., ICML 2016, Eq. 1.

    >>> soft_assignment(torch.tensor([[0.0, 1.0]]))
    tensor([[0.6667, 0.3333]])
    """
    kernel = 1 / (1 + squared_distances)
    return kernel / kernel.sum(dim=1, keepdim=True)


def target(q: Tensor, frequencies: Tensor) -> Tensor:
    """Return p, the target of a soft assignment: q²/f, scaled to a sum of 1 an image.

    Source: Xie et al., ICML 2016, Eq. 3.

    Args:
        q: shape (n, n_clusters).
        frequencies: f, of the clusters, shape (n_clusters,), up to a factor.
    """
    weights = q.square() / frequencies.clamp(min=1e-12)
    return weights / weights.sum(dim=1, keepdim=True)


class ClusteredAutoencoder(Autoencoder):
    """An auto-encoder with cluster centres in its code, and class logits from the code where there are classes.

    Args:
        encoder: images to codes.
        decoder: codes to logits of pixels.
        code_dim: size of the code.
        n_clusters: number of centres.
        n_classes: number of logits; None for no logits.
        alpha: weight of the means of the classes in the centres.
        noise: see `Autoencoder`.
    """

    class_means: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        code_dim: int,
        n_clusters: int,
        *,
        n_classes: int | None = None,
        alpha: float = 0.0,
        noise: float = 0.0,
    ) -> None:
        super().__init__(encoder, decoder, noise)
        self.alpha = alpha
        self.centres = nn.Parameter(torch.zeros(n_clusters, code_dim))
        self.register_buffer("class_means", torch.zeros(n_clusters, code_dim))
        self.classifier = None if n_classes is None else nn.Linear(code_dim, n_classes)

    def squared_distances(self, codes: Tensor) -> Tensor:
        """Return ‖z − (1 − α)μ_j − αμ'_j‖², shape (n, n_clusters), of codes, shape (n, code_dim)."""
        centres = (1 - self.alpha) * self.centres + self.alpha * self.class_means
        return (codes[:, None] - centres).square().sum(dim=2)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return `code`, `error`, `squared_distances` to the centres and, where there are classes, `logits`."""
        made = super().forward(images)
        codes = made["code"].float()
        named = {**made, "squared_distances": self.squared_distances(codes)}
        return named if self.classifier is None else {**named, "logits": self.classifier(codes)}

    def outputs(self, images: Tensor) -> dict[str, Tensor]:
        """Return what is kept of each image: see `forward`, with `distance`, squared, to the nearest centre."""
        made = self(images)
        return {**made, "distance": made["squared_distances"].amin(dim=1)}


class ClusterLearner(LookFirstLearner):
    """Finds clusters of the codes by k-means, and then draws the codes to them as the objective says.

    What must be known of all training images, which the paper's update from time to time from a pass over them, is
    here that of the last `interval` steps: how frequent clusters are, the mean code of each class, and the
    reconstruction error above which images are sifted out.

    Args:
        network: a `ClusteredAutoencoder`, in training mode, on the device of the training.
        objective: gives the loss.
        setting: of the training.
    """

    def __init__(self, network: nn.Module, objective: Clustering, setting: Setting) -> None:
        assert isinstance(network, ClusteredAutoencoder)  # what the objective builds
        super().__init__(network, setting)
        self._clustered, self._objective = network, objective
        # By name and on the device: all of it is part of a checkpoint.
        self._known: dict[str, Any] = {"frequencies": None, "limit": None, **_nothing_kept()}

    def look(self, images: Tensor, labels: Tensor) -> Tensor:
        """Keep codes, labels and errors of a batch; return its mean error."""
        made = self._clustered(images)
        self._keep(codes=made["code"].float(), labels=labels, errors=made["error"].float())
        mean: Tensor = made["error"].mean()
        return mean

    def _keep(self, **named: Tensor) -> None:
        for name, values in named.items():
            if sum(map(len, self._known[name])) < MOST_LOOKED_AT:
                self._known[name].append(values.detach())

    def find(self) -> None:
        """Set the centres to those of k-means, in the order of the classes they lie next to."""
        from sklearn.cluster import KMeans

        network, codes = self._clustered, torch.cat(self._known["codes"])
        n_clusters = len(network.centres)
        if len(codes) < n_clusters:
            raise ConfigError(
                f"{self._objective.name} looks for {n_clusters} clusters in the {len(codes)} images that it is shown "
                "first; train on more images, or for more steps"
            )
        seed = int(torch.randint(2**31, (), generator=self._setting.random, device=self._setting.device))
        fitted = KMeans(n_clusters, n_init=K_MEANS_STARTS, random_state=seed).fit(codes.double().cpu().numpy())
        centres = torch.tensor(fitted.cluster_centers_, dtype=codes.dtype, device=codes.device)
        if network.alpha > 0:
            network.class_means.copy_(self._class_means(centres))
            centres = centres[_matched(centres, network.class_means)]
        network.centres.copy_(centres)
        self._know()

    def _class_means(self, otherwise: Tensor) -> Tensor:
        """Return the mean of the kept codes of each class; where there are none, that of `otherwise`."""
        codes, labels = torch.cat(self._known["codes"]), torch.cat(self._known["labels"])
        codes, labels = codes[labels >= 0], labels[labels >= 0]
        sums = torch.zeros_like(otherwise).index_add_(0, labels, codes)
        counts = torch.bincount(labels, minlength=len(otherwise))[:, None]
        return torch.where(counts > 0, sums / counts.clamp(min=1), otherwise)

    @torch.no_grad()
    def _know(self) -> None:
        """Turn what was kept into what must be known, and keep anew."""
        network, sift = self._clustered, self._objective.sift
        if network.alpha > 0:
            network.class_means.copy_(self._class_means(network.class_means))
        q = soft_assignment(network.squared_distances(torch.cat(self._known["codes"])))
        limit = torch.cat(self._known["errors"]).quantile(1 - sift) if sift > 0 else None
        self._known = {"frequencies": q.sum(dim=0), "limit": limit, **_nothing_kept()}

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of the images of a batch that are not sifted out."""
        if self.learnt > 1 and (self.learnt - 1) % self._objective.interval == 0:
            self._know()
        if self._known["limit"] is not None:
            kept = self._not_sifted(images)
            images, labels = images[kept], labels[kept]
        with self._setting.autocast():
            made = self._clustered(images)
        made = {name: values.float() for name, values in made.items()}
        self._keep(codes=made["code"], labels=labels)
        q = soft_assignment(made["squared_distances"])
        made["p"] = target(q, self._known["frequencies"]).detach()
        return self._objective.loss(made, labels, self._setting.random)

    @torch.no_grad()
    def _not_sifted(self, images: Tensor) -> Tensor:
        """Return whether each image's error is not above the limit, or among the least two."""
        self._network.eval()
        errors = self._clustered(images)["error"].float()
        self._network.train()
        self._keep(errors=errors)
        kept: Tensor = errors <= self._known["limit"]
        # Batch normalisation takes at least two images.
        if kept.sum() < 2:
            kept[errors.topk(min(2, len(errors)), largest=False).indices] = True
        return kept

    def state_dict(self) -> dict[str, Any]:
        """Return the state of all parts, with what is known and kept."""
        return {**super().state_dict(), "known": self._known}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up the state of all parts."""
        super().load_state_dict(state)
        self._known = {
            name: list(value) if isinstance(value, list) else value for name, value in state["known"].items()
        }


def _nothing_kept() -> dict[str, list[Tensor]]:
    return {"codes": [], "labels": [], "errors": []}


def _matched(centres: Tensor, class_means: Tensor) -> Tensor:
    """Return, for each class, the index of its centre, so that the sum of squared distances is least."""
    from scipy.optimize import linear_sum_assignment

    costs = (class_means[:, None] - centres).square().sum(dim=2).double().cpu().numpy()
    _, chosen = linear_sum_assignment(costs)
    return torch.tensor(chosen, device=centres.device)
