"""Traffic signs of Tsinghua-Tencent 100K: read as crops, which are cut out of the published frames where need be."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from oodbench.api import Location
from oodbench.errors import DataError, MissingData
from oodbench.hashing.values import file_digest
from oodbench.images import Conversion, RawImages, decode
from oodbench.progress import Reporter
from oodbench.store.atomic import write_atomic

from ._cutting import BACKGROUND, Cut, CutSettings, cut_frame
from ._journal import Journal
from ._tt100k import ANNOTATIONS, Finding, Frame, Release, find_annotations, read_release
from .folder import ImageFolder

if TYPE_CHECKING:
    from PIL.Image import Image

NAME = "tsinghua"
PUBLISHED = "tt100k"
SUMMARY = "cut.json"
JOURNAL = "frames.jsonl"

_EXAMPLES = 5


@dataclass(frozen=True, kw_only=True)
class Tsinghua(CutSettings):
    """Crops of Chinese traffic signs in `tsinghua/{train,test}/<class>/*`, or in `tsinghua.zip`.

    For non-commercial use only. A class is a sign as TT100K names it; `background` is one of them: patches without a
    sign. `prepare` cuts both out of the published 2048×2048 frames, in the frames' own split; its settings change
    nothing in crops that are there already. Crops are PNG, so that no second lossy codec comes in.
    Source: Zhu et al., CVPR 2016; background patches as in Masana et al., BMVC 2018.
    """

    title: ClassVar[str] = "Traffic signs cut out of street photos, about 25,000 in 230 classes (non-commercial)"
    source: ClassVar[str] = "Zhu et al. 2016"
    how_to_get: ClassVar[str] = (
        "Download Tsinghua-Tencent 100K from https://cg.cs.tsinghua.edu.cn/traffic-sign/ (18 GB and more), unpack it "
        "so that <data folder>/tt100k/ holds annotations.json (or annotations_all.json), train/, test/ and other/, "
        "then run: oodbench data --prepare tsinghua"
    )
    downloadable: ClassVar[bool] = False

    def locate(self, split: str, data_dir: Path) -> Location:
        """Say whether the crops of the split are there, as a folder or in the ZIP."""
        return ImageFolder(name=NAME).locate(split, data_dir)

    def read(self, split: str, data_dir: Path, conversion: Conversion) -> RawImages:
        """Return the crops of a split, decoded one after another.

        Raises:
            DataError: a file is damaged; the message names it.
        """
        return ImageFolder(name=NAME).read(split, data_dir, conversion)

    def download(self, data_dir: Path) -> None:
        """Refuse: the archives are offered on the authors' page only."""
        raise DataError(f"{NAME} cannot be downloaded. {self.how_to_get}")

    def prepare(self, data_dir: Path, report: Reporter) -> None:
        """Cut signs and background patches out of the frames in `tt100k/`, into the folder `tsinghua/`.

        The folder bears the name `tsinghua.partial` until the last frame is done. Beside the crops lie `cut.json`,
        which counts signs by class and everything that was wrong, and `frames.jsonl`, the same frame by frame.

        Raises:
            MissingData: there are no annotations, or no frames.
            DataError: the annotations are damaged, other crops are in the way, or nothing can be written.
        """
        target = data_dir / NAME
        if target.exists():
            self._check_finished(target)
            report.message(f"{target} is there and whole: nothing to do. To cut it anew, delete that folder.")
            return
        annotations = find_annotations(data_dir / PUBLISHED)
        if annotations is None:
            places = " or ".join(str(data_dir / PUBLISHED / name) for name in ANNOTATIONS)
            raise MissingData(f"no annotations of TT100K: looked for {places}. {self.how_to_get}")
        release = read_release(annotations)
        if not release.frames:
            raise MissingData(f"no frames in train/, test/ or other/ of {annotations.parent}. {self.how_to_get}")
        try:
            summary = self._cut_all(annotations, release, target, report)
        except OSError as error:
            raise DataError(
                f"the crops cannot be written to {target}: {error}; mend that, then run the command again: it goes on"
            ) from error
        for line in _told(summary, target):
            report.message(line)

    def _check_finished(self, target: Path) -> None:
        try:
            cut_with = json.loads((target / SUMMARY).read_text(encoding="utf-8"))["settings"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{target} is in the way: it was not made by this command; move it away to cut signs out of the frames"
            ) from error
        if cut_with != _plain(asdict(self)):
            raise DataError(f"{target} was cut with other settings ({cut_with}); delete that folder to cut it anew")

    def _cut_all(self, annotations: Path, release: Release, target: Path, report: Reporter) -> dict[str, Any]:
        """Cut one frame after another, sum up, and give the folder its final name."""
        aside = target.with_name(f"{target.name}.partial")
        job = {"settings": asdict(self), "annotations": file_digest(annotations)}
        journal = Journal(aside / JOURNAL, job)
        for done, frame in enumerate(release.frames):
            report.progress("cutting signs out of frames", done, len(release.frames))
            if frame.path not in journal:
                # Crops first: a kill in between repeats the frame, under the same names.
                journal.add(self._cut_one(frame, annotations.parent, aside))
        report.progress("cutting signs out of frames", len(release.frames), len(release.frames))
        summary = {"settings": _plain(asdict(self)), **_sum_up(journal, release.findings)}
        write_atomic(aside / SUMMARY, json.dumps(summary, indent=2, sort_keys=True).encode() + b"\n")
        for left_by_a_kill in aside.rglob(".*.tmp"):
            left_by_a_kill.unlink()
        aside.rename(target)
        return summary

    def _cut_one(self, frame: Frame, folder: Path, aside: Path) -> dict[str, Any]:
        """Write the crops of a frame and return its entry in the journal."""
        path = folder / frame.path
        try:
            picture = decode(path.read_bytes(), str(path))
        except (OSError, DataError):
            cut = Cut(findings=Counter({Finding.UNREADABLE: 1}))
        else:
            cut = cut_frame(frame, picture, self)
        for name, crop in cut.crops.items():
            write_atomic(aside / name, _png(crop))
        findings = {finding.value: count for finding, count in cut.findings.items() if count}
        return {
            "frame": frame.path,
            "split": frame.split,
            "signs": dict(cut.signs),
            "backgrounds": cut.backgrounds,
            "findings": findings,
        }


def _png(picture: Image) -> bytes:
    content = io.BytesIO()
    picture.save(content, "png")
    return content.getvalue()


def _plain(value: Any) -> Any:
    """Return a value as it comes back from JSON."""
    return json.loads(json.dumps(value))


def _sum_up(entries: Iterable[dict[str, Any]], of_release: Mapping[Finding, list[str]]) -> dict[str, Any]:
    """Return crops by split and class, and findings with their number, that of their frames, and the first of these."""
    crops: dict[str, Counter[str]] = {"train": Counter(), "test": Counter()}
    findings = {finding.value: {"count": 0, "frames": 0, "first": list[str]()} for finding in Finding}

    def note(finding: str, frame: str, count: int) -> None:
        found: Any = findings[finding]
        found["count"] += count
        found["frames"] += 1
        if len(found["first"]) < _EXAMPLES:
            found["first"].append(frame)

    frames = 0
    for entry in entries:
        frames += 1
        crops[entry["split"]].update(entry["signs"])
        crops[entry["split"]][BACKGROUND] += entry["backgrounds"]
        for finding, count in entry["findings"].items():
            note(finding, entry["frame"], count)
    for finding, paths in of_release.items():
        for path in paths:
            note(finding, path, 1)
    return {"frames": frames, "crops": crops, "findings": findings}


def _told(summary: dict[str, Any], target: Path) -> list[str]:
    """Return the summary as lines to print."""
    crops: Counter[str] = sum(summary["crops"].values(), Counter[str]())
    backgrounds = crops.pop(BACKGROUND, 0)
    whole = (
        f"cut {crops.total():,} signs of {len(crops)} classes and {backgrounds:,} background patches out of "
        f"{summary['frames']:,} frames into {target}"
    )
    lines = []
    for finding, found in summary["findings"].items():
        if found["count"]:
            more = ", …" if found["frames"] > len(found["first"]) else ""
            lines.append(f"  {found['count']:,} × {finding}: {', '.join(found['first'])}{more}")
    return [whole, *lines, f"  signs by class: {target / SUMMARY}"]
