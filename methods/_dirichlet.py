"""Dirichlet distributions over class probabilities: divergence, and three measures of how uncertain one is."""

from __future__ import annotations

import torch
from torch import Tensor


def divergence(p: Tensor, q: Tensor) -> Tensor:
    """Return KL(Dir(p) ‖ Dir(q)) in nats, shape (n,), of positive concentrations of shape (n, C)."""
    p_0, q_0 = p.sum(dim=1), q.sum(dim=1)
    volume = torch.lgamma(p_0) - torch.lgamma(q_0) - (torch.lgamma(p) - torch.lgamma(q)).sum(dim=1)
    return volume + ((p - q) * (torch.digamma(p) - torch.digamma(p_0)[:, None])).sum(dim=1)


def max_p(alpha: Tensor) -> Tensor:
    """Return the largest mean probability, shape (n,), of concentrations, shape (n, C)."""
    return (alpha / alpha.sum(dim=1, keepdim=True)).amax(dim=1)


def mutual_information(alpha: Tensor) -> Tensor:
    """Return the mutual information of class and distribution in nats, shape (n,), at least 0.

    I = H[E μ] − E[H[μ]] = −Σ_k p_k (log p_k − ψ(α_k + 1) + ψ(α_0 + 1)), with p = α / α_0.
    Source: Malinin & Gales, NeurIPS 2018, Eq. 18; survey (Salehi et al.) §6.4, Eq. 66.
    """
    alpha_0 = alpha.sum(dim=1, keepdim=True)
    p = alpha / alpha_0
    return -(p * (p.log() - torch.digamma(alpha + 1) + torch.digamma(alpha_0 + 1))).sum(dim=1)


def differential_entropy(alpha: Tensor) -> Tensor:
    """Return the differential entropy in nats, shape (n,), at most that of the flat distribution.

    h = Σ_k log Γ(α_k) − log Γ(α_0) − Σ_k (α_k − 1)(ψ(α_k) − ψ(α_0)).
    Source: Malinin & Gales, NeurIPS 2018, Eq. 19.
    """
    alpha_0 = alpha.sum(dim=1)
    volume = torch.lgamma(alpha).sum(dim=1) - torch.lgamma(alpha_0)
    return volume - ((alpha - 1) * (torch.digamma(alpha) - torch.digamma(alpha_0)[:, None])).sum(dim=1)
