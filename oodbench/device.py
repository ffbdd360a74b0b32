"""Which devices a run computes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oodbench.errors import DeviceError

if TYPE_CHECKING:
    import torch


def resolve(name: str) -> tuple[torch.device, ...]:
    """Return the devices for a name.

    Args:
        name: "auto" for all GPUs, or the CPU where there is none; "cuda" for all GPUs; "cpu"; or several devices,
            such as "cuda:0,cuda:1". A device that is named twice has two workers.

    Raises:
        DeviceError: a GPU is asked for and not there, or the name is unknown.
    """
    import torch

    gpus = [f"cuda:{i}" for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    found: list[str] = []
    for part in name.split(","):
        if part == "auto":
            found += gpus or ["cpu"]
        elif part == "cuda":
            if not gpus:
                raise DeviceError(
                    f"device {part!r} was asked for, but PyTorch finds no CUDA GPU here; use 'cpu' or 'auto'"
                )
            found += gpus
        elif part == "cpu" or part in gpus:
            found.append(part)
        else:
            there = ", ".join(gpus) or "no GPU"
            raise DeviceError(
                f"no device {part!r}; choose auto, cpu, cuda or single GPUs, such as cuda:0 (here: {there})"
            )
    # One GPU is simply "cuda": records of machines with one and with several then read alike.
    return tuple(torch.device("cuda" if device == "cuda:0" and len(gpus) == 1 else device) for device in found)


def describe(device: torch.device) -> str:
    """Return the device's name for records, such as "cpu (threads: 8)" or "cuda (NVIDIA A100)".

    Sums come out a little different with another number of threads, and so do trainings.
    """
    import torch

    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"cpu (threads: {torch.get_num_threads()})" if device.type == "cpu" else device.type
