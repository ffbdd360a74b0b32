"""The contrastive objective against Eq. 1 and 2 of Masana et al. (BMVC 2018), by hand."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from oodbench.errors import ConfigError
from oodbench.plugins import registry


def contrastive(**settings):
    objective = registry.method("ml")().networks[0]
    return dataclasses.replace(objective, **settings)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def batch_labels(n_id=192, n_ood=64, n_classes=5):
    labels = torch.randint(n_classes, (n_id,), generator=generator(1))
    return torch.cat([labels, torch.full((n_ood,), -1)])


@pytest.mark.parametrize(
    ("squared", "distance", "y", "loss"),
    [
        (True, 3.0, 0.0, 4.5),  # ½·3²
        (True, 3.0, 1.0, 24.5),  # ½·(10−3)²
        (True, 12.0, 1.0, 0.0),  # beyond the margin
        (False, 3.0, 0.0, 1.5),  # ½·3
        (False, 3.0, 1.0, 3.5),  # ½·(10−3)
    ],
)
def test_pair_loss_is_equation_1(squared, distance, y, loss):
    objective = contrastive(margin=10.0, squared=squared)

    result = objective.pair_loss(torch.tensor([distance**2]), torch.tensor([y]))

    assert result.item() == pytest.approx(loss)


def test_gradient_is_finite_where_two_images_of_different_classes_coincide():
    embeddings = torch.zeros(4, 3, requires_grad=True)

    contrastive(pairs="all").loss(embeddings, torch.tensor([0, 1, 0, 1]), generator()).backward()

    assert torch.isfinite(embeddings.grad).all()


def test_loss_of_all_pairs_by_hand():
    # Distances: 0-1 is 1 (same class), 0-2 is 3 and 1-2 is 2 (different), OOD 3: 4, 3 and 1; 3 and 4 are both OOD.
    embeddings = torch.tensor([[0.0], [1.0], [3.0], [4.0], [9.0]])
    labels = torch.tensor([0, 0, 1, -1, -1])
    objective = contrastive(margin=5.0, same_share=0.25, pairs="all")
    different = [3.0, 2.0, 4.0, 3.0, 1.0, 9.0, 8.0, 6.0]
    mean_different = sum(0.5 * max(0.0, 5.0 - d) ** 2 for d in different) / len(different)

    loss = objective.loss(embeddings, labels, generator())

    assert loss.item() == pytest.approx(0.25 * 0.5 * 1.0**2 + 0.75 * mean_different)


def test_two_ood_images_never_contribute():
    labels = torch.tensor([0, 1, -1, -1])
    near, far = (torch.tensor([[0.0], [20.0], [40.0], [40.0 + gap]]) for gap in (0.1, 9.0))
    objective = contrastive(pairs="all")

    assert objective.loss(near, labels, generator()) == objective.loss(far, labels, generator())


def test_sampled_pairs_are_half_as_many_as_images_and_never_of_two_ood_images_or_of_one_with_itself():
    labels = batch_labels()

    left, right, weight = contrastive().sample_pairs(labels, generator())

    assert len(left) == len(right) == len(weight) == len(labels) // 2
    assert (labels[left] >= 0).all()
    assert (left != right).all()


def test_every_seen_ood_image_of_a_batch_is_in_exactly_one_pair():
    labels = batch_labels(n_ood=64)

    _, right, weight = contrastive().sample_pairs(labels, generator())

    ood = right[labels[right] < 0]
    assert sorted(ood.tolist()) == list(range(192, 256))
    assert (weight[labels[right] < 0] == 1).all()


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_share_of_same_class_pairs_is_kept(share):
    labels = batch_labels(n_id=4000, n_ood=0)

    left, right, _ = contrastive(same_share=share).sample_pairs(labels, generator())

    assert (labels[left] == labels[right]).float().mean().item() == pytest.approx(share, abs=0.02)


def test_ood_images_take_the_place_of_partners_from_other_classes():
    labels = batch_labels(n_id=3000, n_ood=1000)

    left, right, weight = contrastive(same_share=0.25).sample_pairs(labels, generator())

    assert (weight == 1).all()
    assert (labels[right] < 0).float().mean().item() == 0.5
    assert (labels[left] == labels[right]).float().mean().item() == pytest.approx(0.25, abs=0.02)


def test_pair_without_a_partner_of_the_wanted_kind_weighs_nothing():
    labels = torch.zeros(8, dtype=torch.int64)

    left, right, weight = contrastive(same_share=0.5).sample_pairs(labels, generator())
    loss = contrastive(same_share=0.0).loss(torch.randn(8, 2), labels, generator())

    assert ((labels[left] == labels[right]) | (weight == 0)).all()
    assert loss.item() == 0.0


def test_left_images_are_all_different():
    left, _, _ = contrastive().sample_pairs(batch_labels(), generator())

    assert len(left.unique()) == len(left)


def test_mean_of_sampled_losses_comes_near_the_weighted_mean_of_all_pairs():
    labels = batch_labels(n_id=64, n_ood=0, n_classes=4)
    embeddings = torch.randn(64, 3, generator=generator(2)) * 4
    every, sampled = contrastive(pairs="all"), contrastive(pairs="sampled")

    draws = torch.stack([sampled.loss(embeddings, labels, generator(seed)) for seed in range(2000)])

    assert draws.mean().item() == pytest.approx(every.loss(embeddings, labels, generator()).item(), rel=0.02)


def test_ood_images_are_in_every_second_batch_and_a_quarter_of_it():
    objective = registry.method("odm")().networks[0]

    assert [objective.n_ood_images(1024, step) for step in range(4)] == [0, 256, 0, 256]


def test_a_quarter_of_all_pairs_is_of_an_id_and_an_ood_image():
    objective = registry.method("odm")().networks[0]
    pairs = ood = 0
    for step in range(10):
        n_ood = objective.n_ood_images(128, step)
        labels = batch_labels(n_id=128 - n_ood, n_ood=n_ood)
        _, right, _ = objective.sample_pairs(labels, generator(step))
        pairs, ood = pairs + len(right), ood + int((labels[right] < 0).sum())

    assert ood / pairs == 0.25


def test_plain_metric_learning_uses_no_ood_images():
    objective = registry.method("ml")().networks[0]

    assert not objective.uses_seen_ood
    assert {objective.n_ood_images(128, step) for step in range(10)} == {0}


def test_embedding_has_the_size_that_the_benchmark_prescribes_unless_set():
    def built(objective):
        return objective.build(lambda shape, n: torch.nn.Linear(2, n), (1, 1, 2), 5, 3).out_features

    assert built(contrastive()) == 3
    assert built(contrastive(embedding_dim=7)) == 7


@pytest.mark.parametrize(
    "settings",
    [{"margin": 0.0}, {"same_share": 1.5}, {"ood_batches": -0.1}, {"ood_share": 0.6}, {"embedding_dim": 0}],
)
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        contrastive(**settings)


def test_it_starts_from_the_classifier_where_asked_to():
    from oodbench.objectives import CrossEntropy

    assert registry.method("odm")().networks[0].starts_from is None
    assert registry.method("odm")(start="ce").networks[0].starts_from == CrossEntropy()
    assert registry.method("ml")(start="ce").networks[0] != registry.method("ml")().networks[0]


@pytest.mark.parametrize(("embedding_dim", "n_classes", "same_head"), [(4, 4, True), (2, 4, False)])
def test_all_weights_of_the_classifier_are_taken_over_but_those_that_do_not_fit(embedding_dim, n_classes, same_head):
    def backbone(shape, n_outputs):
        return torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.BatchNorm1d(5), torch.nn.Linear(5, n_outputs))

    objective = contrastive(start="ce", embedding_dim=embedding_dim)
    classifier = objective.starts_from.build(backbone, (3, 1, 1), n_classes, 10)
    classifier[1].running_mean += 1
    network = objective.build(backbone, (3, 1, 1), n_classes, 10)
    objective.begin(network, classifier)

    assert torch.equal(network[0].weight, classifier[0].weight)
    assert torch.equal(network[1].running_mean, classifier[1].running_mean)
    assert torch.equal(network[2].weight[:2], classifier[2].weight[:2]) is same_head
