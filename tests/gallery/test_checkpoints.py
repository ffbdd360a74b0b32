"""Files of weights as they are saved and as they come, and what must happen to each."""

from __future__ import annotations

import argparse
import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from oodbench.errors import ConfigError
from oodbench.given.weights import load_weights


class Net(nn.Module):
    """Has a layer with buffers, one of which is counted and one of which is not saved."""

    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, 3)
        self.register_buffer("order", torch.arange(3), persistent=False)

    def forward(self, images):
        return self.fc(self.norm(self.body(images)).mean(dim=(2, 3)))


class WithModule(nn.Module):
    """Has a submodule that is called as DataParallel calls its own."""

    def __init__(self):
        super().__init__()
        self.module = nn.Linear(4, 3)


class Versioned(nn.Module):
    """Refuses weights without a version, as MNASNet does."""

    _version = 2

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, *others):
        assert local_metadata.get("version") == 2
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *others)


def trained(kind=Net, seed=1):
    torch.manual_seed(seed)
    model = kind()
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.uniform_()
    return model


def prefixed(prefix, state):
    """Return weights under longer names, with the versions of their layers as PyTorch keeps them."""
    renamed = OrderedDict((prefix + name, value) for name, value in state.items())
    versions = {f"{prefix}{name}".rstrip("."): value for name, value in state._metadata.items()}
    renamed._metadata = OrderedDict(versions)
    return renamed


def safetensors(state):
    """Return the bytes of a safetensors file."""
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, value in state.items():
        content = value.contiguous().numpy().tobytes()
        dtype = {torch.float32: "F32", torch.int64: "I64"}[value.dtype]
        header[name] = {
            "dtype": dtype, "shape": list(value.shape), "data_offsets": [len(data), len(data) + len(content)],
        }  # fmt: skip
        data += content
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A file of weights.

    Attributes:
        name: what it is.
        wrap: makes what `torch.save` writes, or the bytes of the file, of the weights of a model.
        kind: of the model that it is loaded into.
        took: what is said to be taken of it; None where it is refused.
        said: words that it is refused with.
        file: its name.
    """

    name: str
    wrap: Callable[[Any], Any]
    kind: Callable[[], nn.Module] = Net
    took: str | None = None
    said: str = ""
    file: str = "w.pt"


OTHER = {"optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 0.1}]}, "epoch": 3}


def averaged(state):
    """Return what is not the average."""
    zeros = OrderedDict((name, torch.zeros_like(value)) for name, value in state.items())
    zeros._metadata = state._metadata
    return zeros


def without(state, *ends):
    return OrderedDict((name, value) for name, value in state.items() if not name.endswith(ends))


TAKEN = [
    Checkpoint(name="plain", wrap=lambda state: state, took=""),
    *(
        Checkpoint(name=f"under {key}", wrap=lambda state, key=key: {key: state, **OTHER}, took=key)
        for key in ("state_dict", "model_state_dict", "model", "net", "weights", "my_best_network")
    ),
    *(
        Checkpoint(name=f"prefix {prefix}", wrap=lambda state, prefix=prefix: prefixed(prefix, state), took=took)
        for prefix, took in [
            ("module.", "module.*"), ("_orig_mod.", "_orig_mod.*"), ("model.", "model.*"), ("backbone.", "backbone.*"),
            ("module._orig_mod.", "module._orig_mod.*"), ("student.net.", "student.net.*"),
        ]
    ),
    Checkpoint(name="deeper", wrap=lambda state: {"a": {"b": state}}, took="a.b"),
    Checkpoint(
        name="Lightning",
        wrap=lambda state: {
            "state_dict": {**prefixed("model.", state), "loss.weight": torch.ones(3)},
            "hyper_parameters": argparse.Namespace(lr=0.1, path=Path("x")),
            "callbacks": {"best": {"score": torch.tensor(1.0)}},
            "pytorch-lightning_version": "2.0",
        },
        took="state_dict, model.*",
    ),
    Checkpoint(
        name="timm with averages",
        wrap=lambda state: {"state_dict": averaged(state), "state_dict_ema": state, **OTHER},
        took="state_dict_ema",
    ),
    Checkpoint(
        name="averages beside the model",
        wrap=lambda state: {"state_dict": {**prefixed("model.", averaged(state)), **prefixed("ema.", state)}},
        took="state_dict, ema.*",
    ),
    Checkpoint(name="no counts", wrap=lambda state: without(state, "num_batches_tracked"), took=""),
    Checkpoint(name="buffer that is computed now", wrap=lambda state: {**state, "order": torch.arange(3)}, took=""),
    Checkpoint(name="profiled", wrap=lambda state: {**state, "fc.total_ops": torch.zeros(1)}, took=""),
    Checkpoint(name="parts compiled", took="",
               wrap=lambda state: {name.replace("fc.", "fc._orig_mod."): value for name, value in state.items()}),
    Checkpoint(name="own submodule called module", kind=WithModule, wrap=lambda state: state, took=""),
    Checkpoint(name="and wrapped", kind=WithModule, wrap=lambda state: prefixed("module.", state), took="module.*"),
    Checkpoint(name="into DataParallel", kind=lambda: nn.DataParallel(Net()), wrap=lambda state: state, took=""),
    Checkpoint(name="versions below a prefix", kind=Versioned, wrap=lambda state: prefixed("module.", state),
               took="module.*"),
    Checkpoint(name="no versions", kind=Versioned, wrap=dict, took=""),
    Checkpoint(name="safetensors", wrap=safetensors, file="w.safetensors", took=""),
    Checkpoint(name="safetensors of another name", wrap=safetensors, file="w.bin", took=""),
]  # fmt: skip

ALONE = "save the weights alone: torch.save(model.state_dict(), FILE)"

REFUSED = [
    Checkpoint(name="whole model", wrap=lambda _: trained(), said="holds a whole tests.gallery.test_checkpoints.Net"),
    Checkpoint(name="web page", wrap=lambda _: b"\n<!DOCTYPE html><html>", said="is a web page, not weights"),
    Checkpoint(
        name="pointer", wrap=lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n",
        said="is a pointer of Git LFS, not the weights themselves; fetch them: git lfs pull",
    ),
    Checkpoint(name="empty", wrap=lambda _: b"", said="is empty; copy it again"),
    Checkpoint(name="words", wrap=lambda _: b"no weights", said=ALONE),
    Checkpoint(name="list", wrap=lambda _: [1, 2], said="holds a list, not a state_dict"),
    Checkpoint(name="no tensors", wrap=lambda _: {"epoch": 3}, said="holds a dict, not a state_dict"),
    Checkpoint(name="half a safetensors", wrap=lambda state: safetensors(state)[:-9], file="w.safetensors",
               said="it is no whole safetensors file"),
    Checkpoint(
        name="of another model", wrap=lambda _: {"head.weight": torch.zeros(3)},
        said="are not those of Net: they lack body.bias, body.weight, fc.bias and 5 more and they have head.weight; "
        "the file has head.weight, and the model body.bias, body.weight, fc.bias and 6 more",
    ),
    Checkpoint(name="of other sizes", wrap=lambda state: {**state, "fc.bias": torch.zeros(7)},
               said="are not those of Net: size mismatch for fc.bias"),
    Checkpoint(name="more than the model", wrap=lambda state: {**state, "tail.weight": torch.zeros(1)},
               said="they have tail.weight"),
]  # fmt: skip


def touch(path):
    path.touch()


class Hostile:
    """Runs code where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return touch, (self.path,)


def write(checkpoint, place, state):
    content = checkpoint.wrap(state)
    file = place / checkpoint.file
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        torch.save(content, file)
    return file


@pytest.mark.parametrize("checkpoint", TAKEN, ids=lambda each: each.name)
def test_weights_are_found(checkpoint, tmp_path):
    source, model = trained(checkpoint.kind), trained(checkpoint.kind, seed=2)
    inner = source.module if isinstance(source, nn.DataParallel) else source

    assert load_weights(model, write(checkpoint, tmp_path, inner.state_dict())) == checkpoint.took
    for one, other in zip(model.state_dict().items(), source.state_dict().items(), strict=True):
        assert one[0] == other[0]
        assert torch.equal(one[1], other[1]), one[0]


@pytest.mark.parametrize("checkpoint", REFUSED, ids=lambda each: each.name)
def test_what_is_no_file_of_weights_is_one_sentence(checkpoint, tmp_path):
    with pytest.raises(ConfigError) as caught:
        load_weights(trained(), write(checkpoint, tmp_path, trained().state_dict()))

    said = str(caught.value)
    assert checkpoint.said in said
    assert "\n" not in said
    assert "weights_only" not in said


def test_no_code_of_a_checkpoint_is_run(tmp_path):
    model = trained(seed=2)
    torch.save({"state_dict": trained().state_dict(), "extra": Hostile(tmp_path / "ran")}, tmp_path / "w.pt")

    assert load_weights(model, tmp_path / "w.pt") == "state_dict"
    assert not (tmp_path / "ran").exists()


def test_weights_in_several_files_are_put_together(tmp_path):
    state, model = trained().state_dict(), trained(seed=2)
    names = list(state)
    (tmp_path / "a.safetensors").write_bytes(safetensors({name: state[name] for name in names[:3]}))
    torch.save({name: state[name] for name in names[3:]}, tmp_path / "b.bin")
    where = {name: "a.safetensors" if name in names[:3] else "b.bin" for name in names}
    (tmp_path / "index.json").write_text(json.dumps({"weight_map": where}))

    load_weights(model, tmp_path / "index.json")
    assert torch.equal(model.fc.weight, state["fc.weight"])


@pytest.mark.filterwarnings("ignore:.*torch.jit.*")
def test_weights_of_a_scripted_model_are_taken(tmp_path):
    source, model = trained(), trained(seed=2)
    torch.jit.save(torch.jit.script(source), tmp_path / "w.pt")

    load_weights(model, tmp_path / "w.pt")
    assert torch.equal(model.fc.weight, source.fc.weight)
