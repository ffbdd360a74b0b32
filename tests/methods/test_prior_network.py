"""Prior networks against the formulas of Malinin & Gales (NeurIPS 2018), by hand and by PyTorch's distributions."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest
import torch
from torch.distributions import Dirichlet, kl_divergence

from oodbench.errors import ConfigError
from oodbench.plugins import registry
from tests.linear_head import batch_of
from tests.training_steps import backbone, id_images, seen_images, trained

HOME = registry.method("prior_network").__module__.rpartition(".")[0]
dirichlet = importlib.import_module(f"{HOME}._dirichlet")


def objective(**settings):
    (found,) = registry.method("prior_network")(**settings).networks
    return found


def score(alpha, **settings):
    return registry.method("prior_network")(**settings).fit(None).score(batch_of(np.log(alpha)))


def test_divergence_of_two_dirichlet_distributions_is_that_of_pytorch():
    p, q = torch.rand(2, 20, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 50 + 0.1

    assert dirichlet.divergence(p, q).allclose(kl_divergence(Dirichlet(p), Dirichlet(q)))


def test_divergence_by_hand():
    # Dir(2, 1) has density 2x and Dir(1, 1) is flat: ∫ 2x log 2x dx = log 2 − 1/2.
    p, q = torch.tensor([[2.0, 1.0]], dtype=torch.float64), torch.ones(1, 2, dtype=torch.float64)

    assert dirichlet.divergence(p, q).item() == pytest.approx(math.log(2) - 0.5)


@pytest.mark.parametrize(("direction", "first"), [("forward", "target"), ("reverse", "network")])
def test_loss_by_hand(direction, first):
    # α_0 = 4 and s = 1/4: the target of class 0 is (3, 1); the network says (2, 1) of it, and of the outlier (4, 4).
    found = objective(concentration=4.0, smoothing=0.25, divergence=direction, weight=0.5)
    pairs = [((3.0, 1.0), (2.0, 1.0)), ((1.0, 1.0), (4.0, 4.0))]
    kl = [
        kl_divergence(*(Dirichlet(torch.tensor(alpha)) for alpha in (pair if first == "target" else pair[::-1]))).item()
        for pair in pairs
    ]

    loss = found.loss_with_ood(
        torch.tensor([[2.0, 1.0]]).log(), torch.tensor([0]), torch.tensor([[4.0, 4.0]]).log(), torch.Generator()
    )

    assert loss.item() == pytest.approx((kl[0] + 0.5 * kl[1]) / 4, rel=1e-5)


def test_target_of_an_id_image_is_sharp():
    target = objective(concentration=100.0, smoothing=0.01).target(torch.tensor([1]), 3)

    assert target.tolist() == [pytest.approx([1.0, 98.0, 1.0])]


def test_mutual_information_of_a_flat_distribution_over_two_classes_by_hand():
    # The entropy of the mean is log 2; ∫ −2x log x dx = 1/2 is the mean of the entropies.
    assert score([[1.0, 1.0]]).item() == pytest.approx(-(math.log(2) - 0.5))


def test_mutual_information_is_the_gap_between_two_entropies_of_drawn_probabilities():
    alpha = torch.tensor([2.0, 0.5, 4.0], dtype=torch.float64)
    torch_state = torch.get_rng_state()
    torch.manual_seed(0)
    drawn = Dirichlet(alpha).sample((200_000,))
    torch.set_rng_state(torch_state)
    entropies = torch.special.entr(drawn).sum(dim=1)

    expected = torch.special.entr(drawn.mean(dim=0)).sum() - entropies.mean()

    assert dirichlet.mutual_information(alpha[None]).item() == pytest.approx(expected.item(), abs=2e-3)


def test_largest_probability_and_differential_entropy_by_hand():
    assert score([[3.0, 1.0]], score="max_p").item() == pytest.approx(0.75)
    # Of density 2x: −∫ 2x log 2x dx.
    assert score([[2.0, 1.0]], score="differential_entropy").item() == pytest.approx(math.log(2) - 0.5)
    alpha = [[2.0, 0.5, 4.0]]
    entropy = Dirichlet(torch.tensor(alpha)).entropy().item()
    assert score(alpha, score="differential_entropy").item() == pytest.approx(-entropy, rel=1e-5)


def test_scores_of_extreme_logits_are_finite():
    logits = [[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4], [1e4, 1e4, 1e4]]
    for name in ("mutual_information", "max_p", "differential_entropy"):
        scores = registry.method("prior_network")(score=name).fit(None).score(batch_of(logits))
        assert torch.isfinite(scores).all()


@pytest.mark.parametrize("divergence", ["forward", "reverse"])
def test_training_makes_distributions_sharp_on_id_images_and_flat_on_outliers(divergence):
    network = trained(objective(divergence=divergence), steps=80)
    images, labels = id_images(30, seed=7)
    with torch.no_grad():
        sharp, flat = (network(x).exp() for x in (images, seen_images(30, seed=8).float() / 255))

    assert (sharp.argmax(1) == labels).all()
    assert sharp.sum(1).mean() > 4 * flat.sum(1).mean()
    assert dirichlet.mutual_information(flat).mean() > 2 * dirichlet.mutual_information(sharp).mean()


def test_smoothing_that_leaves_the_true_class_nothing_is_refused():
    with pytest.raises(ConfigError, match="prior_network.smoothing"):
        objective(smoothing=0.4).build(backbone, (1, 8, 8), 3, 3)


@pytest.mark.parametrize("settings", [{"concentration": 0.0}, {"smoothing": 0.0}, {"smoothing": 1.0}, {"weight": -1.0}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        registry.method("prior_network")(**settings)
