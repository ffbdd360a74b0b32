"""bfloat16 is taken where the machine is made for it, and nowhere else."""

from __future__ import annotations

import pytest
import torch

from oodbench.training import precision

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def processor(monkeypatch, *, onednn, machine="x86_64", avx512_bf16=False, amx=False):
    """Let the processor be another one."""

    class Onednn:
        @staticmethod
        def _is_mkldnn_bf16_supported():
            return onednn

    monkeypatch.setattr(torch.ops, "mkldnn", Onednn, raising=False)
    monkeypatch.setattr(precision.platform, "machine", lambda: machine)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)


PROCESSORS = [
    ({"onednn": False}, "float32"),
    ({"onednn": True}, "float32"),  # AVX-512 alone, which converts each number
    ({"onednn": True, "avx512_bf16": True}, "bfloat16"),
    ({"onednn": True, "amx": True}, "bfloat16"),
    ({"onednn": True, "machine": "aarch64"}, "bfloat16"),
    ({"onednn": False, "machine": "arm64"}, "float32"),
]


@pytest.mark.parametrize(("settings", "expected"), PROCESSORS)
def test_auto_takes_what_the_processor_is_made_for(monkeypatch, settings, expected):
    processor(monkeypatch, **settings)

    assert precision.taken("auto", CPU) == expected
    assert precision.taken("float32", CPU) == "float32"
    assert precision.taken("bfloat16", CPU) == "bfloat16"


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), "float32"), ((8, 0), "bfloat16"), ((9, 0), "bfloat16")])
def test_auto_takes_what_the_gpu_is_made_for(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)

    assert precision.taken("auto", GPU) == expected


def test_bfloat16_on_a_processor_without_it_is_warned_of(monkeypatch):
    processor(monkeypatch, onednn=True)

    assert precision.warning("bfloat16", CPU) == (
        "this processor has no arithmetic for bfloat16, and takes several times as long in it as in float32; "
        "give --set recipe.precision=auto"
    )
    assert precision.warning("auto", CPU) is None
    assert precision.warning("float32", CPU) is None


def test_bfloat16_on_a_processor_that_has_it_is_no_cause_for_a_warning(monkeypatch):
    processor(monkeypatch, onednn=True, amx=True)

    assert precision.warning("bfloat16", CPU) is None


def test_a_processor_that_cannot_be_asked_has_none(monkeypatch):
    monkeypatch.setattr(torch.ops, "mkldnn", object(), raising=False)

    assert precision.taken("auto", CPU) == "float32"
