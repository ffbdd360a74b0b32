"""The file of a detector: a ZIP of plain facts, scores, and pickled objects, with checksums."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .errors import ConfigError, MissingData, PluginError, StoreError
from .store.atomic import file_atomic
from .store.records import SUFFIX
from .store.schema import Malformed, checked, parsed
from .store.space import reason

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from .jobs import Cell

FORMAT = 2
"""Counts up when files that were written before can be read no longer."""

_ABOUT, _SCORES, _THINGS = "about.json", "scores_id.npy", "things.pt"


_LARGEST = 64 << 20
"""Bytes of plain facts at most."""


@dataclass(frozen=True, kw_only=True)
class _Size:
    """What images are brought to."""

    size: tuple[int, int]
    channels: Literal[1, 3]


@dataclass(frozen=True, kw_only=True)
class _Made:
    """How a detector was made, as far as it is read here; there is more."""

    key: str
    plugin: str
    versions: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class _About:
    """The plain facts of a file."""

    method: str
    in_dist: str
    class_names: tuple[str, ...]
    conversion: _Size
    record: _Made


@dataclass(frozen=True, kw_only=True, eq=False)
class Contents:
    """What is in a file.

    Attributes:
        about: JSON values, which can be read without running anything.
        scores_id: float64, shape (n_id,).
        things: objects that are pickled together, so that they go on sharing their parts.
    """

    about: Mapping[str, Any]
    scores_id: NDArray[np.float64]
    things: Mapping[str, Any]


def write_contents(file: Path, contents: Contents) -> None:
    """Write a file, whole or not at all.

    Raises:
        PluginError: an object cannot be pickled.
        StoreError: the file cannot be written.
    """
    import numpy as np
    import torch

    try:
        with file_atomic(file) as opened, zipfile.ZipFile(opened, "w") as archive:
            archive.writestr(_ABOUT, json.dumps(contents.about, indent=1, sort_keys=True, ensure_ascii=False))
            with archive.open(_SCORES, "w") as member:
                np.save(member, contents.scores_id)
            with archive.open(_THINGS, "w", force_zip64=True) as member:
                torch.save(dict(contents.things), member, pickle_protocol=5)
    except OSError as error:
        raise StoreError(f"cannot write {file} ({reason(error)}); free space or change permissions") from error
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise PluginError(
            f"the detector {file.name} cannot be stored ({error}); define its classes at the top of a module that can "
            "be imported, and keep no lambdas in it"
        ) from error
    except RuntimeError as error:
        # What PyTorch says of parts that are TorchScript.
        if "serialize" not in str(error):
            raise
        raise PluginError(
            f"the detector {file.name} cannot be stored: a part of its model is TorchScript; script the whole model"
        ) from error


def read_about(file: Path) -> dict[str, Any]:
    """Return the plain facts of a file; none of its code is run.

    Raises:
        StoreError: there is no such file, or it is damaged or of another format.
    """
    try:
        about: dict[str, Any] = checked(Mapping[str, Any], parsed(_member(file, _ABOUT, _LARGEST)))
        if about.get("format") == FORMAT:
            _check(checked(_About, about))
    except Malformed as error:
        raise _not_whole(file, error) from error
    if about.get("format") != FORMAT:
        raise StoreError(
            f"{file} has the format {str(about.get('format'))[:20]}, and this version of oodbench reads {FORMAT}; make "
            "it again: oodbench run --save-detectors"
        )
    return about


def _check(about: _About) -> None:
    """Refuse what has the types of a detector's facts, and cannot be those of one.

    Raises:
        Malformed: what is wrong with them.
    """
    if not about.class_names:
        raise Malformed("class_names is empty")
    if not all(1 <= side <= 2**14 for side in about.conversion.size):
        raise Malformed(f"conversion.size cannot be {about.conversion.size}")


def read_contents(file: Path, device: torch.device) -> Contents:
    """Return everything in a file; code that it names is run.

    Args:
        file: as `write_contents` wrote it.
        device: where its tensors come to be.

    Raises:
        PluginError: a class cannot be imported here.
        StoreError: there is no such file, or it is damaged or of another format.
    """
    import numpy as np

    about = read_about(file)
    try:
        scores = np.load(io.BytesIO(_member(file, _SCORES)))
    except (ValueError, EOFError, OSError) as error:
        raise _not_whole(file, error) from error
    if not isinstance(scores, np.ndarray) or scores.dtype != np.float64 or scores.ndim != 1 or not scores.size:
        raise _not_whole(file, "its scores are no numbers in a row")
    if not np.isfinite(scores).all():
        raise _not_whole(file, "its scores are not finite")
    things = _unpickled(file, about, _member(file, _THINGS), device)
    if wrong := _unlike(things):
        raise _not_whole(file, wrong)
    return Contents(about=about, scores_id=scores, things=things)


def _unlike(things: object) -> str:
    """Say what is wrong with the objects of a detector, or return ""."""
    from torch import nn

    if not isinstance(things, Mapping) or not {"fitted", "networks", "readings"} <= things.keys():
        return "it lacks what a detector consists of"
    if not hasattr(things["fitted"], "score") or not hasattr(things["fitted"], "classify"):
        return "it holds nothing that scores images"
    networks, readings = things["networks"], things["readings"]
    if not isinstance(networks, tuple) or not networks or not all(isinstance(one, nn.Module) for one in networks):
        return "it holds no networks"
    readable = isinstance(readings, tuple) and all(hasattr(one, "name") and hasattr(one, "of") for one in readings)
    return "" if readable else "it holds no readings of layers"


def _not_whole(file: Path, why: object) -> StoreError:
    return StoreError(
        f"{file} is not a whole detector ({why}); copy it again, or make it anew: oodbench run --save-detectors"
    )


def _member(file: Path, name: str, largest: int | None = None) -> bytes:
    """Return a part of a file; one that is larger than it may be is not unpacked."""
    try:
        with zipfile.ZipFile(file) as archive:
            if largest is not None and archive.getinfo(name).file_size > largest:
                raise _not_whole(file, f"{name} is too large")
            return archive.read(name)
    except FileNotFoundError:
        raise StoreError(f"there is no detector {file}; store one: oodbench run --save-detectors") from None
    # A password and unknown methods of compression are told by the last two.
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, OSError, RuntimeError, NotImplementedError) as error:
        raise _not_whole(file, error) from error


def _unpickled(file: Path, about: Mapping[str, Any], content: bytes, device: torch.device) -> Mapping[str, Any]:
    import torch

    from .given.building import importable_here

    importable_here()
    try:
        things: Mapping[str, Any] = torch.load(io.BytesIO(content), map_location=device, weights_only=False)
    except ModuleNotFoundError as error:
        raise PluginError(
            f"{file} needs the Python module {error.name!r}, which cannot be imported here; install its package, or "
            f"add its folder to PYTHONPATH; a plugin file must lie where it was: --plugin FILE ({about['method']} of "
            f"{about['record']['plugin']})"
        ) from error
    # Classes run their own code here: whatever goes wrong is told in its words.
    except Exception as error:
        made = ", ".join(f"{name} {version}" for name, version in about["record"]["versions"].items())
        raise PluginError(
            f"{file} cannot be loaded ({type(error).__name__}: {error}); it was made with {made}: use these versions, "
            "or make it anew with yours"
        ) from error
    return things


def is_stored(file: Path, cell: Cell) -> bool:
    """Return whether a file holds the detector of a cell; none of its code is run."""
    try:
        return bool(read_about(file)["record"]["key"] == cell.key)
    except StoreError:
        return False


def find_detector(path: Path) -> Path:
    """Return the file of a detector, given it, its record, or a folder that has one detector.

    Raises:
        MissingData: there is none.
        ConfigError: a folder has several.
        StoreError: the detector beside a record belongs to another result.
    """
    if path.is_dir():
        found = sorted(path.rglob(f"*{SUFFIX}"))
        if len(found) > 1:
            names = ", ".join(str(file.relative_to(path)) for file in found[:5])
            raise ConfigError(f"{path} has {len(found)} detectors; name one: {names}{', …' if len(found) > 5 else ''}")
        if not found:
            raise MissingData(f"no detector in {path}; store some: oodbench run --save-detectors")
        return found[0]
    if path.suffix != ".json":
        return path
    file = path.with_suffix(SUFFIX)
    if not file.exists():
        raise MissingData(f"no detector beside {path}; store it: run it again with --save-detectors")
    try:
        key = checked(Mapping[str, Any], parsed(path.read_bytes())).get("key")
    except (OSError, Malformed) as error:
        raise StoreError(f"{path} is not a whole record ({error})") from error
    if read_about(file)["record"]["key"] != key:
        raise StoreError(f"{file} belongs to an older result than {path}; run it again with --save-detectors")
    return file
