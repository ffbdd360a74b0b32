"""Which devices a run computes on."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
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


def free_memory(device: torch.device) -> float:
    """Return how many bytes of memory a device has left, infinity where nobody knows.

    On a processor that is what the system has, or less where a container or a limit of the process allows less.
    """
    if device.type == "cuda":
        import torch

        free, _ = torch.cuda.mem_get_info(device)
        return float(free)
    return min(_left(), default=math.inf)


def _left() -> Iterator[float]:
    """Yield what each of those leaves that may have a say."""
    with suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        yield next(float(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    with suppress(OSError, ValueError):
        # "max" where there is no limit.
        group = Path("/sys/fs/cgroup")
        allowed, used = ((group / name).read_text(encoding="ascii") for name in ("memory.max", "memory.current"))
        yield float(allowed) - float(used)
    with suppress(ImportError, OSError, ValueError, IndexError):
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
            yield float(limit - pages * os.sysconf("SC_PAGE_SIZE"))
