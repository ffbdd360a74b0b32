"""Which device a run computes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import DeviceError

if TYPE_CHECKING:
    import torch


def resolve(name: str) -> torch.device:
    """Return the device for "auto" (a GPU where there is one), "cpu" or "cuda".

    Raises:
        DeviceError: a GPU is asked for and not there, or the name is unknown.
    """
    import torch

    if name not in ("auto", "cpu", "cuda"):
        raise DeviceError(f"no device {name!r}; choose auto, cpu or cuda")
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise DeviceError("device 'cuda' was asked for, but PyTorch finds no CUDA GPU here; use 'cpu' or 'auto'")
    return torch.device("cuda" if name != "cpu" and available else "cpu")


def describe(device: torch.device) -> str:
    """Return the device's name for records, such as "cpu" or "cuda (NVIDIA H200)"."""
    import torch

    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else device.type
