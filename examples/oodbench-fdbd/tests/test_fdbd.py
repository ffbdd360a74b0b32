"""fDBD keeps the contract of oodbench, and its score is right on a case computed by hand."""

from types import SimpleNamespace

import pytest
import torch
from oodbench.testing import parametrize_with_checks

from oodbench_fdbd.method import FDBD


@parametrize_with_checks([FDBD])
def test_contract(plugin, check):
    """Run one check of the contract, as `oodbench check fdbd` does."""
    check(plugin)


def test_score_by_hand():
    """Three classes in the plane, with μ = (1, 1) and z = (4, 5), so that ‖z − μ‖ = 5.

    w = (1, 0), (0, 1), (−3, −4) and b = 0, 2, 5 give the logits 4, 7, −27: class 1 is predicted. Its boundaries are
    |7 − 4| / ‖(−1, 1)‖ = 3 / √2 and |7 + 27| / ‖(3, 5)‖ = 34 / √34 = √34 away.
    """
    head = torch.nn.Linear(2, 3)
    head.load_state_dict({"weight": torch.tensor([[1.0, 0], [0, 1], [-3, -4]]), "bias": torch.tensor([0.0, 2, 5])})
    train = SimpleNamespace(features=torch.tensor([[0.0, 0.0], [2.0, 2.0]]))
    z = torch.tensor([[4.0, 5.0]])

    detector = FDBD().fit(SimpleNamespace(network=SimpleNamespace(head=head), train=train))
    score = detector.score(SimpleNamespace(features=z, logits=head(z).detach()))

    assert score.item() == pytest.approx((3 / 2**0.5 + 34**0.5) / 2 / 5)
