"""Files that scikit-learn ships, found without importing it: that would take longer than all else in a short run."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path


def shipped(name: str) -> Path:
    """Return where a file is that scikit-learn ships with its data sets.

    Args:
        name: below `sklearn.datasets`, such as `data/digits.csv.gz`.
    """
    spec = find_spec("sklearn")
    assert spec is not None and spec.origin is not None  # noqa: PT018  # scikit-learn is required
    return Path(spec.origin).parent / "datasets" / name
