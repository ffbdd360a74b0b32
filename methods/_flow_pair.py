"""Two flows, one of which stays as it is."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from oodbench.networks.flow import Flow


class FlowPair(nn.Module):
    """A flow on ID images, and the flow on general images that it started from.

    Args:
        flow: is trained.
        general: is not.
    """

    def __init__(self, flow: Flow, general: Flow) -> None:
        super().__init__()
        self.flow = flow
        self.general = general.requires_grad_(requires_grad=False)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return `log_likelihood` and `log_likelihood_general`, in bits per dimension, each of shape (n,).

        In training both flows see the same fresh dequantisation noise.
        """
        if not self.training:
            return {
                "log_likelihood": self.flow(images)["log_likelihood"],
                "log_likelihood_general": self.general(images)["log_likelihood"],
            }
        noise = torch.rand_like(images)
        with torch.no_grad():
            general = self.general.bits_per_dimension(images, noise)
        return {"log_likelihood": self.flow.bits_per_dimension(images, noise), "log_likelihood_general": general}

    def outputs(self, images: Tensor) -> dict[str, Tensor]:
        """Return what is kept of each image: see `forward`."""
        return self(images)  # type: ignore[no-any-return]
