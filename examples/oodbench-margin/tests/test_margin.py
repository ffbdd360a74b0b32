"""The margin keeps the contract of oodbench, and its score is right on a case computed by hand."""

from types import SimpleNamespace

import pytest
import torch
from oodbench.testing import parametrize_with_checks

from oodbench_margin.method import Margin


@parametrize_with_checks([Margin])
def test_contract(plugin, check):
    """Run one check of the contract, as `oodbench check margin` does."""
    check(plugin)


def test_score_by_hand():
    """Three classes in the plane, w = (1, 0), (0, 1), (−3, −4) and b = 0, 2, 5.

    z = (4, 5) has the logits 4, 7, −27: class 1 is predicted. Its boundaries are |7 − 4| / ‖(−1, 1)‖ = 3 / √2 and
    |7 + 27| / ‖(3, 5)‖ = √34 away. The two training images have the logits 0, 4, −3 and 0, 8, −19: class 1 is predicted
    too, and the boundaries with class 2 are nearest, 7 / √34 and 27 / √34 away.
    """
    head = torch.nn.Linear(2, 3)
    head.load_state_dict({"weight": torch.tensor([[1.0, 0], [0, 1], [-3, -4]]), "bias": torch.tensor([0.0, 2, 5])})

    def batch(features):
        features = torch.tensor(features)
        return SimpleNamespace(features=features, logits=head(features).detach())

    inputs = SimpleNamespace(network=SimpleNamespace(head=head), train=batch([[0.0, 2.0], [0.0, 6.0]]))
    score = Margin().fit(inputs).score(batch([[4.0, 5.0]]))

    nearest = (7 / 34**0.5, 27 / 34**0.5)
    assert nearest[0] < 4 / 2**0.5
    assert nearest[1] < 8 / 2**0.5
    assert score.item() == pytest.approx(3 / 2**0.5 / (sum(nearest) / 2))
