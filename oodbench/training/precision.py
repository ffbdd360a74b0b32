"""In which precision the passes of a training are made, on the processor or GPU at hand."""

from __future__ import annotations

import platform
from typing import Literal

import torch

Precision = Literal["float32", "bfloat16"]


def taken(precision: str, device: torch.device) -> Precision:
    """Return the precision of a training's passes.

    Args:
        precision: "float32" or "bfloat16" for just that, or "auto" for bfloat16 where the device is made for it.
        device: of the training.
    """
    if precision == "auto":
        return "bfloat16" if has_bfloat16(device) else "float32"
    return "bfloat16" if precision == "bfloat16" else "float32"


def has_bfloat16(device: torch.device) -> bool:
    """Return whether a device has arithmetic for bfloat16, and not only a slow way to imitate it."""
    if device.type == "cuda":
        # Turing and older imitate it.
        return torch.version.hip is not None or torch.cuda.get_device_capability(device)[0] >= 8
    return device.type == "cpu" and _processor_has_bfloat16()


def warning(precision: str, device: torch.device) -> str | None:
    """Return what is to be said of a precision that a device is slow in, or None."""
    if precision != "bfloat16" or has_bfloat16(device):
        return None
    kind = "GPU" if device.type == "cuda" else "processor"
    return (
        f"this {kind} has no arithmetic for bfloat16, and takes several times as long in it as in float32; "
        "give --set recipe.precision=auto"
    )


def _processor_has_bfloat16() -> bool:
    try:
        if not torch.ops.mkldnn._is_mkldnn_bf16_supported():  # noqa: SLF001  # PyTorch has no public question for it
            return False
    except (AttributeError, RuntimeError):
        return False
    if platform.machine().lower() not in ("x86_64", "amd64", "i386", "i686"):
        return True
    # oneDNN says yes to every AVX-512, whose plain form converts each number: three times as slow as float32.
    questions = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, question, bool)() for question in questions)
