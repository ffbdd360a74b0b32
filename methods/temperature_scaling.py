"""Maximum softmax probability at a temperature that calibrates it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from oodbench.api import FitInputs, Need, Sees
from oodbench.errors import ConfigError
from oodbench.posthoc import PostHocDetector, PostHocMethod

if TYPE_CHECKING:
    from torch import Tensor

    from oodbench.batch import Batch

COLDEST, HOTTEST = 0.01, 100.0
"""Bounds of an exact temperature: where held-out images are all classified right, colder is better without end."""
STARTS = {"openood": 1.5, "pytorch_ood": 1.0}
"""Where peers start L-BFGS; the paper's public code starts as OpenOOD does."""


@dataclass(frozen=True, kw_only=True)
class TemperatureScaling(PostHocMethod):
    """Maximum softmax probability after the logits are divided by one temperature for all images.

    Score: log p / (1 − p) with p = max_k softmax(f / T)_k, and T the temperature with the least cross-entropy on
    held-out ID images.
    Source: Guo et al., ICML 2017 (temperature scaling).

    The paper's confidence is p itself, which ranks images the same and ties for the most confident ones. It calibrates
    probabilities; that OOD images are told by them is OpenOOD's and pytorch-ood's use of it. The cross-entropy is
    convex in 1/T, and its minimum is found exactly, from 0.01 to 100. Public code makes 50 steps of L-BFGS with a step
    size of 0.01 instead, and ends on the way.

    Attributes:
        temperature: T, or "fitted".
        solver: "exact"; or 50 steps of L-BFGS from T = 1.5 ("openood", as the public code) or 1 ("pytorch_ood").
    """

    title: ClassVar[str] = "Temperature scaling"
    source: ClassVar[str] = "Guo et al., ICML 2017"

    temperature: Literal["fitted"] | float = "fitted"
    solver: Literal["exact", "openood", "pytorch_ood"] = "exact"

    def __post_init__(self) -> None:
        if self.temperature != "fitted" and not self.temperature > 0:
            raise ConfigError(f"temperature must be fitted or positive, got {self.temperature}")

    @property
    def sees(self) -> frozenset[Sees]:  # type: ignore[override]  # a constant of the base
        """Held-out ID images; nothing where T is given."""
        return frozenset({"id_validation"}) if self.temperature == "fitted" else frozenset()

    @property
    def needs(self) -> frozenset[Need]:  # type: ignore[override]  # a constant of the base
        """Classes; training images, some of which are held out, where T is fitted."""
        return frozenset({"classes", "training_images"} if self.temperature == "fitted" else {"classes"})

    def fit(self, inputs: FitInputs) -> TemperatureScalingDetector:
        """Return a detector with the temperature.

        Raises:
            ConfigError: it is to be fitted, and no ID images are held out.
        """
        if self.temperature != "fitted":
            return TemperatureScalingDetector(temperature=self.temperature)
        validation = inputs.validation
        if validation is None:
            raise ConfigError(
                "temperature_scaling needs held-out ID images to fit the temperature, and this benchmark holds none "
                "out; give one: --set temperature_scaling.temperature=1.5"
            )
        labels = validation.labels
        assert labels is not None  # held-out ID images have labels
        if self.solver == "exact":
            return TemperatureScalingDetector(temperature=_best_temperature(validation.logits.double(), labels))
        return TemperatureScalingDetector(temperature=_descended(validation.logits, labels, STARTS[self.solver]))


def _best_temperature(logits: Tensor, labels: Tensor) -> float:
    """Return the temperature from `COLDEST` to `HOTTEST` with the least cross-entropy."""
    true = logits.gather(1, labels[:, None]).mean()
    low, high = 1 / HOTTEST, 1 / COLDEST
    # 60 halvings leave less than float64 resolves.
    for _ in range(60):
        inverse = (low + high) / 2
        # The derivative of the cross-entropy by 1/T grows with 1/T: mean of E_p[f] − f_y.
        expected = ((logits * inverse).softmax(dim=1) * logits).sum(dim=1).mean()
        low, high = (low, inverse) if expected > true else (inverse, high)
    return 2 / (low + high)


def _descended(logits: Tensor, labels: Tensor, start: float) -> float:
    """Return the temperature after 50 steps of L-BFGS, as public code goes."""
    import torch
    from torch.nn.functional import cross_entropy

    with torch.enable_grad():
        temperature = torch.full((), start, device=logits.device, requires_grad=True)
        optimiser = torch.optim.LBFGS([temperature], lr=0.01, max_iter=50)

        def loss() -> Tensor:
            value = cross_entropy(logits / temperature, labels)
            (temperature.grad,) = torch.autograd.grad(value, temperature)
            return value

        optimiser.step(loss)  # type: ignore[no-untyped-call]
    return max(temperature.item(), COLDEST)


@dataclass(frozen=True, kw_only=True, eq=False)
class TemperatureScalingDetector(PostHocDetector):
    """Log-odds of the predicted class at a temperature.

    Attributes:
        temperature: T.
    """

    temperature: float

    def score(self, batch: Batch) -> Tensor:
        """Return log p / (1 − p) of the largest probability p, float64 of shape (n,)."""
        from ._probabilities import log_probabilities

        log_p, log_rest = log_probabilities(batch.logits.double() / self.temperature)
        return (log_p - log_rest).amax(dim=1)
