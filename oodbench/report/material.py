"""The images that a record was tested on, found again in the data at hand."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from oodbench.benchmark import Benchmark, Part
from oodbench.data.loading import BenchmarkData, load_benchmark
from oodbench.data.parts import load_part
from oodbench.errors import OodbenchError
from oodbench.images import ImageSet
from oodbench.plugins import registry
from oodbench.splits import SHARES
from oodbench.store.records import Record
from oodbench.store.workspace import Workspace

ID = ""
"""By which the ID test images are asked for, where others are asked for by the name of their OOD set."""
IN_PLACE = re.compile(r"(.+) \(for (.+)\)")
"""What a set is called that was put in the place of another one, see `oodbench run --out`."""


@dataclass(kw_only=True, eq=False)
class Images:
    """Test images of one benchmark, loaded when they are asked for; only those that were scored are given.

    Attributes:
        record: whose images these are.
        workspace: where they are looked for.
        why: what is said in the place of images that are not there, by the name of the set.
    """

    record: Record
    workspace: Workspace
    why: dict[str, str] = field(default_factory=dict)
    _found: dict[str, ImageSet | None] = field(default_factory=dict)
    _whole: BenchmarkData | None = None

    def of(self, name: str) -> ImageSet | None:
        """Return the images of a set in the order in which they were scored, or None where they are not there.

        Args:
            name: of an OOD set as the record calls it, or `ID`.
        """
        if name not in self._found:
            try:
                self._found[name] = self._load(name)
            except OodbenchError as error:
                self._found[name], self.why[name] = None, str(error)
            if self._found[name] is None:
                self.why.setdefault(name, "the images at hand are not those that were scored")
        return self._found[name]

    def _load(self, name: str) -> ImageSet | None:
        benchmark = self._benchmark()
        if benchmark is None:
            self.why[name] = "a benchmark of its own: where its images lie is not in the record"
            return None
        row = next((row for row in self.record.rows if row.out_dist == name), None)
        wanted = self.record.fingerprints.get("id_test") if row is None else row.fingerprint
        images = load_part(_part(benchmark, name), benchmark.conversion, self.workspace)
        if images.fingerprint == wanted:
            return images
        # A run leaves out test images that are training images as well.
        if self._whole is None:
            self._whole = load_benchmark(self._with_own_sets(benchmark), self.workspace, train_needed=False)
        kept = self._whole.ood.get(name) if name else self._whole.id_test
        return kept if kept is not None and kept.fingerprint == wanted else None

    def _benchmark(self) -> Benchmark | None:
        """Return the registered benchmark of the record, with the classes that its split drew."""
        benchmark = registered(self.record)
        if benchmark is None or benchmark.split is None or self.record.split is None:
            return benchmark
        shares = {share: tuple(self.record.split.get(share, ())) for share in SHARES}

        def drawn(part: Part) -> Part:
            return part if part.share is None else replace(part, classes=shares[part.share], share=None)

        return replace(
            benchmark,
            split=None,
            id_train=drawn(benchmark.id_train),
            id_test=drawn(benchmark.id_test),
            seen={name: drawn(part) for name, part in benchmark.seen.items()},
            ood=tuple(replace(ood, part=drawn(ood.part)) for ood in benchmark.ood),
        )

    def _with_own_sets(self, benchmark: Benchmark) -> Benchmark:
        """Return a benchmark with the OOD sets that the record has."""
        defined = {ood.name: ood for ood in benchmark.ood}
        first = benchmark.ood[0]
        sets = (
            defined.get(row.out_dist)
            or replace(first, name=row.out_dist, role=row.role, part=_part(benchmark, row.out_dist), optional=True)  # type: ignore[arg-type]
            for row in self.record.rows
        )
        return replace(benchmark, ood=tuple(sets))


def registered(record: Record) -> Benchmark | None:
    """Return the benchmark of a record, or the member of its suite, where it is registered."""
    name = record.benchmark["name"]
    suite = registry.usable("suites").get(record.suite) if record.suite else None
    members = {} if suite is None else {member.name: member for member in suite.members}
    found: Benchmark | None = members.get(name) or registry.usable("benchmarks").get(name)
    return found


def _part(benchmark: Benchmark, name: str) -> Part:
    if name == ID:
        return benchmark.id_test
    for ood in benchmark.ood:
        if ood.name == name:
            return ood.part
    replaced = IN_PLACE.fullmatch(name)
    return Part(dataset=replaced[1] if replaced else name)
