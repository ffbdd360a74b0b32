"""A file of weights, however it was saved: what it is, where its weights are, and under which names."""

from __future__ import annotations

import itertools
import json
import re
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from oodbench.errors import ConfigError, first_line

from .copying import unwrapped

State: TypeAlias = "Mapping[str, Tensor]"

ALONE = "save the weights alone: torch.save(model.state_dict(), FILE)"
_BOOKKEEPING = ("num_batches_tracked", "total_ops", "total_params")
"""What normalisation counts, and what profilers leave behind: no output depends on it."""
_WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
"""Parts of names that wrappers add: DataParallel, torch.compile, FSDP, checkpointing."""


def load_weights(model: nn.Module, file: Path) -> str:
    """Load a file of weights into a model, and return what was taken of it; "" for everything as it is.

    Where a file has several, those that were averaged in training (`ema`) are taken: they are the ones evaluated.

    Args:
        model: built, of the same architecture.
        file: what `torch.save` wrote of a `state_dict` or of a mapping with one inside, as training scripts and
            Lightning do; a safetensors file, or the index of several; or a TorchScript archive.

    Raises:
        ConfigError: there is no such file, it holds no weights, or they are not those of the model.
    """
    model = unwrapped(model)
    content = _content(file)
    found = list(_states(content))
    if not found:
        raise ConfigError(f"--weights {file} holds {_kind(content)}, not a state_dict; {ALONE}")
    fits = [fit for place, state in found for fit in _fits(model, place, state)]
    whole = [fit for fit in fits if not fit.lacking and not fit.left]
    if not whole:
        raise ConfigError(_nearest(fits).complaint(model, file))
    # The first of equals.
    best = min(whole, key=lambda fit: (fit.n_misshapen, not _is_averaged(fit.note)))
    try:
        model.load_state_dict(best.for_model(model))
    except Exception as error:
        detail = str(error).splitlines()[-1].strip() or type(error).__name__
        raise ConfigError(f"--weights {file} are not those of {type(model).__name__}: {detail}") from error
    return best.note


@dataclass(frozen=True, kw_only=True)
class _Fit:
    """Some weights of a file under the names of a model.

    Attributes:
        place: under which the file has them, "" where it has nothing else.
        prefix: of their names there, which is taken away.
        state: by the model's names, as far as it has them.
        lacking: names that the model has besides.
        left: names below the prefix that the model does not have.
        others: names beside the prefix.
        names: all of them, as the file has them.
        metadata: versions of the layers, as PyTorch keeps them.
        n_misshapen: how many have another shape than the model's.
    """

    place: str
    prefix: str
    state: Mapping[str, Tensor]
    lacking: tuple[str, ...]
    left: tuple[str, ...]
    others: tuple[str, ...]
    names: tuple[str, ...]
    metadata: Mapping[str, Any]
    n_misshapen: int

    @property
    def note(self) -> str:
        """What was taken, in words."""
        parts = [self.place, f"{self.prefix}*" if self.prefix else ""]
        return ", ".join(filter(None, parts))

    def for_model(self, model: nn.Module) -> OrderedDict[str, Tensor]:
        """Return what `load_state_dict` takes, with what no output depends on filled in."""
        own = model.state_dict()
        state = OrderedDict((name, self.state.get(name, own[name])) for name in own)
        # Some layers read weights of older versions in another way: MNASNet refuses those without one.
        versions = {**getattr(own, "_metadata", {}), **self.metadata}
        state._metadata = versions  # type: ignore[attr-defined]  # noqa: SLF001  # as PyTorch keeps it
        return state

    def complaint(self, model: nn.Module, file: Path) -> str:
        """Say what keeps these weights from being those of a model."""
        which = f"{file}{f' ({self.note})' if self.note else ''}"
        problems = [
            f"they {what} {_some(names)}"
            for what, names in (("lack", self.lacking), ("have", (*self.left, *self.others)))
            if names
        ]
        sides = f"; the file has {_some(self.names)}, and the model {_some(tuple(model.state_dict()))}"
        return f"--weights {which} are not those of {type(model).__name__}: {' and '.join(problems)}{sides}"


def _some(names: Sequence[str]) -> str:
    shown = sorted(names)[:3]
    return ", ".join(shown) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")


def _is_averaged(note: str) -> bool:
    return re.search(r"(^|[._ ])ema([._*]|$)", note) is not None


def _nearest(fits: Sequence[_Fit]) -> _Fit:
    return max(fits, key=lambda fit: (len(fit.state), -len(fit.left), -len(fit.others)))


def _fits(model: nn.Module, place: str, state: State) -> Iterator[_Fit]:
    """Yield the ways in which the names of weights may be those of a model, the plainest first."""
    own: State = model.state_dict()
    wanted = set(own)
    # Today's models compute some buffers anew that older files still have.
    computed = {name for name, _ in model.named_buffers()} - wanted
    prefixes = {""} | {name.removesuffix(key) for name in state for key in _tails(name) if key in wanted}
    metadata = getattr(state, "_metadata", {})
    for renamed, prefix in itertools.product((False, True), sorted(prefixes, key=lambda each: (len(each), each))):
        below: State = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        if renamed:
            plain = _unwrapped_names(below, own)
            if plain is None:
                continue
            below = plain
        versions = {
            name.removeprefix(prefix.rstrip(".")).removeprefix("."): value
            for name, value in metadata.items()
            if f"{name}.".startswith(prefix)
        }
        yield _Fit(
            place=place,
            prefix=prefix,
            state={name: value for name, value in below.items() if name in wanted},
            lacking=tuple(name for name in own if name not in below and not _is_bookkeeping(name)),
            left=tuple(name for name in below if name not in wanted | computed and not _is_bookkeeping(name)),
            others=tuple(name for name in state if not name.startswith(prefix)),
            names=tuple(state),
            metadata=versions,
            n_misshapen=sum(name in own and value.shape != own[name].shape for name, value in below.items()),
        )


def _tails(name: str) -> Iterator[str]:
    """Yield what is left of a name without its first parts."""
    while "." in name:
        name = name.partition(".")[2]
        yield name


def _is_bookkeeping(name: str) -> bool:
    return name.rpartition(".")[2] in _BOOKKEEPING


def _unwrapped_names(state: State, own: State) -> State | None:
    """Return weights under the model's names, where these differ in parts that wrappers add; else None."""
    plain = {_without_wrappers(name): name for name in own}
    given = {_without_wrappers(name) for name in state}
    if len(plain) < len(own) or len(given) < len(state):
        return None
    renamed = {plain.get(_without_wrappers(name), name): value for name, value in state.items()}
    return None if renamed.keys() == state.keys() else renamed


def _without_wrappers(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


def _states(content: Any, place: str = "", depth: int = 3) -> Iterator[tuple[str, State]]:
    """Yield everything that may be weights within what a file holds, with its place there."""
    if isinstance(content, nn.Module):
        yield place, content.state_dict()
        return
    if isinstance(content, _Left):
        return
    if not isinstance(content, Mapping):
        return
    # Optimizers have tensors as well, under numbers.
    named = {name: value for name, value in content.items() if isinstance(name, str)}
    tensors = {name: value for name, value in named.items() if isinstance(value, Tensor)}
    if tensors:
        state = OrderedDict(tensors)
        state._metadata = getattr(content, "_metadata", {})  # type: ignore[attr-defined]  # noqa: SLF001
        yield place, state
    if depth:
        for name, value in named.items():
            if name not in ("optimizer", "optimizer_states", "optimizer_state_dict"):
                yield from _states(value, f"{place}.{name}" if place else name, depth - 1)


class _Left:
    """Stands where a checkpoint holds anything but tensors and plain values; its code is not run."""

    def __new__(cls, *_: Any, **__: Any) -> _Left:  # noqa: PYI034
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __setstate__(self, state: Any) -> None: ...

    def __setitem__(self, key: Any, value: Any) -> None: ...

    def append(self, value: Any) -> None: ...

    def extend(self, values: Any) -> None: ...


def _content(file: Path) -> Any:
    try:
        with file.open("rb") as opened:
            start = opened.read(512)
    except FileNotFoundError:
        raise ConfigError(f"--weights: there is no file {file}") from None
    except OSError as error:
        raise ConfigError(f"--weights {file} cannot be read ({error.strerror}); give a file of weights") from error
    if reason := _no_weights(start):
        raise ConfigError(f"--weights {file} {reason}")
    try:
        if file.suffix == ".json":
            return _of_index(file)
        if _is_safetensors(start, file):
            return _of_safetensors(file)
        if _is_script(file):
            return torch.jit.load(str(file), map_location="cpu")  # type: ignore[no-untyped-call]
        return _of_pickle(file)
    except ConfigError:
        raise
    # Files may hold anything.
    except Exception as error:
        raise ConfigError(f"--weights {file} cannot be read ({_said(error)}); {ALONE}") from error


def _no_weights(start: bytes) -> str:
    """Say what a file is whose beginning is that of no weights; else ""."""
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not text:
        return "is empty; copy it again"
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "is a web page, not weights: the download gave a page instead; fetch the file itself"
    if text.startswith(b"version https://git-lfs"):
        return "is a pointer of Git LFS, not the weights themselves; fetch them: git lfs pull"
    return ""


def _said(error: BaseException) -> str:
    """Return what PyTorch says of a file, without its advice to run what the file holds."""
    line = re.split(r"(?i)\.? *(?:in pytorch 2|please |re-?running|\(1\)|check the doc)", first_line(error))[0]
    return "it holds more than weights" if "weights_only" in line.lower().replace(" ", "_") else line


def _of_pickle(file: Path) -> Any:
    """Return what `torch.save` wrote; objects that are no tensors or plain values are left out, and never run."""
    known: list[Any] = []
    while True:
        try:
            with torch.serialization.safe_globals(known):
                content = torch.load(file, map_location="cpu", weights_only=True)
            break
        except Exception as error:
            name = _unknown_name(error)
            if name is None or name in [entry[1] for entry in known]:
                raise
            known.append((_Left, name))
    if isinstance(content, _Left):
        name = known[0][1]
        raise ConfigError(f"--weights {file} cannot be read: it holds a whole {name}, whose code is not run; {ALONE}")
    return content


def _unknown_name(error: BaseException) -> str | None:
    match = re.search(r"GLOBAL ([\w.]+) was not an allowed global", str(error))
    return None if match is None else match[1]


def _is_script(file: Path) -> bool:
    if not zipfile.is_zipfile(file):
        return False
    with zipfile.ZipFile(file) as archive:
        return any(name.split("/")[1:2] == ["code"] for name in archive.namelist())


_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip


def _is_safetensors(start: bytes, file: Path) -> bool:
    size = int.from_bytes(start[:8], "little")
    return file.suffix == ".safetensors" or (start[8:9] == b"{" and size < file.stat().st_size)


def _of_safetensors(file: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file: a length, a header of JSON, and bytes."""
    content = file.read_bytes()
    size = int.from_bytes(content[:8], "little")
    if len(content) < 8 or size > len(content) - 8:
        raise ValueError("it is no whole safetensors file")
    header, data = json.loads(content[8 : 8 + size]), np.frombuffer(content, dtype=np.uint8)[8 + size :]
    state = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        if entry["dtype"] not in _DTYPES:
            raise ValueError(f"{name} has the type {entry['dtype']}, which is not read")
        start, end = entry["data_offsets"]
        if end > len(data):
            raise ValueError("it is no whole safetensors file")
        dtype = _DTYPES[entry["dtype"]]
        # A copy: the bytes of a tensor may lie where numbers of its type may not begin.
        flat = torch.from_numpy(data[start:end].copy())
        state[name] = flat.view(dtype).reshape(entry["shape"])
    return state


def _of_index(file: Path) -> dict[str, Tensor]:
    """Return the tensors of the files that an index names, as Hugging Face divides large models."""
    names = json.loads(file.read_text(encoding="utf-8"))["weight_map"].values()
    state: dict[str, Tensor] = {}
    for name in sorted(set(names)):
        state |= _content(file.parent / Path(name).name)
    return state


def _kind(thing: object) -> str:
    return f"a tensor of shape {tuple(thing.shape)}" if isinstance(thing, Tensor) else f"a {type(thing).__name__}"
