"""The flow is invertible, its determinant is that of its Jacobian, and its density is one."""

from __future__ import annotations

import math

import pytest
import torch

from oodbench.networks.flow import MARGIN, AffineCoupling, ChannelAffine, Flow


def shaken(flow, by=0.1, seed=0):
    """Move all weights of a flow at random, as training would: an untrained one changes nothing."""
    torch.manual_seed(seed)
    for parameter in flow.parameters():
        parameter.data += by * torch.randn_like(parameter)
    return flow.eval()


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 16, 16), (1, 28, 28), (3, 9, 10)])
@torch.no_grad()
def test_inverse_gives_back_the_images_to_1e_5(shape):
    flow = shaken(Flow(shape, width=8, couplings=2))
    images = torch.rand(4, *shape)

    latents, _ = flow.transform(images)

    assert latents.shape == (4, math.prod(shape))
    assert (flow.inverse(latents) - images).abs().max().item() < 1e-5


@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 3, 4)])
def test_log_determinant_is_that_of_the_jacobian(shape):
    flow = shaken(Flow(shape, width=8, couplings=2)).double()
    image = torch.rand(1, *shape, dtype=torch.float64)

    jacobian = torch.autograd.functional.jacobian(lambda x: flow.transform(x)[0][0], image).reshape(
        math.prod(shape), -1
    )

    expected = torch.linalg.slogdet(jacobian).logabsdet
    assert flow.transform(image)[1].item() == pytest.approx(expected.item(), rel=1e-9)


@torch.no_grad()
def test_density_of_two_pixels_integrates_to_1():
    flow = shaken(Flow((1, 1, 2), width=4, couplings=2), by=0.3).double()
    edge = MARGIN / (1 - 2 * MARGIN)
    # Even steps of the logit, where the density is smooth.
    logits = (torch.arange(-150, 150, dtype=torch.float64) + 0.5) / 10
    inner = torch.sigmoid(logits)
    values = inner * (1 + 2 * edge) - edge
    weights = inner * (1 - inner) / 10 * (1 + 2 * edge)
    images = torch.cartesian_prod(values, values).reshape(-1, 1, 1, 2)

    total = (flow.log_density(images).exp() * torch.cartesian_prod(weights, weights).prod(dim=1)).sum()

    assert total.item() == pytest.approx(1, abs=1e-4)


@torch.no_grad()
def test_probabilities_of_all_8_bit_images_of_two_pixels_add_up_to_nearly_1():
    flow = shaken(Flow((1, 1, 2), width=4, couplings=2), by=0.1)
    images = torch.cartesian_prod(torch.arange(256), torch.arange(256)).float().reshape(-1, 1, 1, 2) / 255

    bits = flow.outputs(images)["log_likelihood"].double() * 2

    # A little lies outside of [0, 1], where no image does.
    assert 0.7 < bits.exp2().sum().item() < 1.02


@torch.no_grad()
def test_untrained_flow_is_the_normal_density_of_the_logits():
    flow = Flow((1, 1, 2), width=4).eval()
    image = torch.tensor([[[[0.3, 0.8]]]])
    expected = 0.0
    for x in (0.3, 0.8):
        y = MARGIN + (1 - 2 * MARGIN) * x
        z = math.log(y / (1 - y))
        expected += -0.5 * z**2 - 0.5 * math.log(2 * math.pi) + math.log((1 - 2 * MARGIN) / (y * (1 - y)))

    assert flow.log_density(image).item() == pytest.approx(expected, rel=1e-5)


@torch.no_grad()
def test_likelihood_is_bits_a_dimension_of_the_dequantised_image():
    flow = shaken(Flow((1, 8, 8), width=4, couplings=1))
    images = (torch.rand(3, 1, 8, 8) * 255).round() / 255

    continuous = (255 * images + flow.noise[0]) / 256
    expected = (flow.log_density(continuous) / math.log(2) - 64 * 8) / 64

    assert torch.allclose(flow.outputs(images)["log_likelihood"], expected, rtol=1e-5)


@torch.no_grad()
def test_several_draws_average_probabilities():
    flow = shaken(Flow((1, 1, 2), width=4, draws=2))
    images = torch.tensor([[[[10.0, 200.0]]]]) / 255
    each = [flow.log_density((255 * images + noise) / 256).exp() / 256**2 for noise in flow.noise]

    expected = (sum(each) / 2).log2() / 2

    assert flow.outputs(images)["log_likelihood"].item() == pytest.approx(expected.item(), rel=1e-4)


@torch.no_grad()
def test_training_dequantises_afresh_and_evaluation_always_alike():
    flow = shaken(Flow((1, 8, 8), width=4, couplings=1))
    images = torch.zeros(3, 1, 8, 8)

    first, second = (flow.eval().outputs(images)["log_likelihood"] for _ in range(2))
    third, fourth = (flow.train()(images)["log_likelihood"] for _ in range(2))

    assert torch.equal(first, second)
    assert not torch.equal(third, fourth)


def test_coupling_changes_one_half_only_and_by_what_the_other_says():
    torch.manual_seed(0)
    coupling = AffineCoupling(2, 4, torch.tensor([1.0, 0.0])[:, None, None])
    torch.nn.init.normal_(coupling.network[-1].weight)
    maps = torch.rand(1, 2, 3, 3)
    changed = maps.clone()
    changed[:, 1] += 1

    made, made_of_changed = coupling(maps)[0], coupling(changed)[0]
    log_scale = coupling(maps)[1]

    assert torch.equal(made[:, 0], maps[:, 0])
    slope = made_of_changed[:, 1] - made[:, 1]
    assert slope.log().sum().item() == pytest.approx(log_scale.item(), rel=1e-3)


def test_channel_affine_by_hand():
    layer = ChannelAffine(2)
    with torch.no_grad():
        layer.log_scale.copy_(torch.tensor([math.log(2), 0.0])[:, None, None])
        layer.shift.copy_(torch.tensor([1.0, -1.0])[:, None, None])

    maps, log_determinant = layer(torch.ones(1, 2, 2, 3))

    assert maps[0, :, 0, 0].tolist() == [3.0, 0.0]
    assert log_determinant.item() == pytest.approx(6 * math.log(2))
    assert torch.allclose(layer.inverse(maps), torch.ones(1, 2, 2, 3))


def test_images_are_squeezed_while_they_can_be():
    def squeezes(shape):
        return sum(scale.squeeze for scale in Flow(shape, width=2, couplings=1).scales)

    shapes = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 64), (1, 9, 8)]
    assert [squeezes(shape) for shape in shapes] == [1, 2, 3, 3, 0]
