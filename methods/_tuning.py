"""What a method that chooses settings on images looks at: held-out ID images, and OOD images where it is told to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oodbench.errors import ConfigError

from ._drawn import drawn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oodbench.api import FitInputs, Sees
    from oodbench.batch import Batch


def seen_in_tuning(tune: str) -> frozenset[Sees]:
    """Return what is seen besides the training images, for the values "seen" and "test"; for others, ID images only."""
    ood: dict[str, frozenset[Sees]] = {"seen": frozenset({"seen_ood"}), "test": frozenset({"ood_test"})}
    return ood.get(tune, frozenset()) | {"id_validation"}


def ood_samples(inputs: FitInputs, tune: str, n: int, *, name: str, otherwise: str) -> list[Batch]:
    """Return up to n images of each OOD set that may be looked at, drawn from the seed.

    Args:
        inputs: what `fit` was given.
        tune: "seen" for the seen OOD training images, "test" for the OOD test sets.
        n: at most this many images of each.
        name: of the method, for messages.
        otherwise: the value of `tune` that needs none.

    Raises:
        ConfigError: there are none.
    """
    ood = [inputs.seen_ood] if tune == "seen" else list(inputs.ood_test.values())
    samples = [drawn(batch, n, inputs.seed) for batch in ood if batch is not None]
    if not samples:
        raise ConfigError(
            f"{name}.tune={tune} needs OOD images that this benchmark does not have; use tune={otherwise}"
        )
    return samples


def at_edge(value: float, grid: Sequence[float]) -> bool:
    """Return whether a value that was chosen from a grid is its first or last one: a wider grid may hold a better."""
    return value in (grid[0], grid[-1])
