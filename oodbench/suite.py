"""Suites: several benchmarks whose results are averaged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from .benchmark import Benchmark
from .errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Suite:
    """Benchmarks that are one experiment: every class once against the rest, several open-set or class splits.

    Members are run like any other benchmark; records know the suite and the member, and tables show the mean over the
    members with its deviation.

    Attributes:
        name: as in `--in`; results of members lie in folders of their own.
        title: one line for listings and captions.
        source: paper and section.
        members: the benchmarks, in order; each has a name of its own.
        layout: the table layout that shows it best.
        known_exceptions: why it cannot keep a check of its contract, by the check's name.
    """

    name: str
    title: str
    source: str
    members: tuple[Benchmark, ...]
    layout: str = "suite"
    known_exceptions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.members:
            raise ConfigError(f"the suite {self.name} has no members; give it benchmarks")
        names = [member.name for member in self.members]
        if repeated := {name for name in names if names.count(name) > 1}:
            raise ConfigError(f"the suite {self.name} has two members called {min(repeated)!r}; rename one")

    @property
    def benchmarks(self) -> tuple[Benchmark, ...]:
        """The members, each of which says that it is one."""
        return tuple(replace(member, suite=self.name) for member in self.members)

    @property
    def embedded(self) -> bool:
        """Whether all images of all members come with the installation."""
        return all(member.embedded for member in self.members)


def one_against_the_rest(
    name: str, classes: Sequence[str], member: Callable[[str, tuple[str, ...]], Benchmark], *, title: str, source: str
) -> Suite:
    """Return the suite in which each class is once in-distribution, and all others are not.

    Args:
        name: of the suite.
        classes: of the data set.
        member: makes a benchmark of one class and the others.
        title: one line for listings.
        source: paper and section.
    """
    members = tuple(member(known, tuple(other for other in classes if other != known)) for known in classes)
    return Suite(name=name, title=title, source=source, members=members)
