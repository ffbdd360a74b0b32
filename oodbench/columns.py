"""The columns of result rows."""

COLUMNS = frozenset(
    [
        "in_dist",
        "method",
        "seed",
        "out_dist",
        "role",
        "accuracy",
        "recipe",
        "cut_short",
        "variant",
        "seen",
        "sees",
        "settings",
        "fitted",
        "training",
        "n_train",
        "n_id",
        "n_ood",
        "device",
        "trained_on",
        "plugin",
        "benchmark_plugin",
        "id_images",
        "seen_images",
        "ood_images",
        "model",
        "given",
        "suite",
        "contamination",
        "damaged",
        "key",
    ]
)
"""Columns of result rows besides metrics, versions and seconds: no metric may have such a name."""

FULL_SPECTRUM = "full_spectrum_"
"""Before the names of metrics that count covariate-shifted images as in-distribution, beside the ID test images."""

SHIFTED_ACCURACY = "shifted_accuracy"
"""Column of the share of a covariate-shifted set that is classified right; empty in rows of OOD sets."""
