"""Splits of the classes of one data set into in-distribution, seen and unseen out-distribution."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from .errors import ConfigError, DataError

Share = Literal["id", "seen", "unseen"]
SHARES: tuple[Share, ...] = ("id", "seen", "unseen")


@dataclass(frozen=True, kw_only=True)
class SplitRule:
    """How classes are divided: at random from a seed, or as a user says.

    Classes of one group always stay together, since a network that knows some of them is not surprised by the
    others; inside its group each is a class of its own. Random splits divide the groups (a class without a group is
    one by itself), after classes with too few images have been dropped. After Masana et al., BMVC 2018, Section 4.2.

    Attributes:
        dataset: whose classes these are; its training images are counted.
        shares: of the groups, for in-distribution, seen and unseen out-distribution; only their ratio counts.
        seed: of the random division.
        min_images: classes with fewer training images are dropped.
        groups: patterns of class names (`pl*`, as in file names), by the name of the group.
        drop: patterns of classes to leave out.
        given: patterns of classes or names of groups for each part, instead of a random division; what no pattern
            fits is left out.
    """

    dataset: str
    shares: tuple[float, float, float] = (50, 20, 30)
    seed: int = 0
    min_images: int = 10
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    given: Mapping[Share, tuple[str, ...]] | None = None

    def __post_init__(self) -> None:
        for name, least in (("seed", 0), ("min_images", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value < 2**32:
                raise ConfigError(f"the {name} of a split must be a whole number from {least} up, got {value!r:.40}")
        if not all(math.isfinite(share) for share in self.shares):
            raise ConfigError(f"the shares of a split must be finite numbers, got {self.described}")
        if len(self.shares) != 3 or any(share < 0 for share in self.shares) or not self.shares[0] > 0:
            raise ConfigError(f"a split has three shares, such as 50/20/30, and the first is not 0: {self.described}")
        if self.given is not None and not {"id", "unseen"} <= self.given.keys():
            raise ConfigError("a split that names its classes needs the lists 'id' and 'unseen', and may have 'seen'")

    @property
    def described(self) -> str:
        """The shares as they are typed, such as "50/20/30"; "given" for lists of classes."""
        return "given" if self.given is not None else "/".join(f"{share:g}" for share in self.shares)

    def draw(self, counts: Mapping[str, int]) -> ClassSplit:
        """Return the split of the classes of a data set.

        Args:
            counts: number of training images of each class.

        Raises:
            ConfigError: a pattern fits no class, or a part would be empty.
        """
        dropped = {name: "left out" for name in counts if _fits(name, self.drop)}
        dropped |= {
            name: f"{count} images" for name, count in counts.items() if count < self.min_images and name not in dropped
        }
        kept = [name for name in counts if name not in dropped]
        groups = self._grouped(kept)
        if self.given is not None:
            parts, left = self._as_given(groups, list(counts)), "in none of the lists"
        else:
            parts, left = self._at_random(groups), ""
        used = {name for classes in parts.values() for name in classes}
        dropped |= {name: left for name in kept if name not in used}
        if len(parts["id"]) < 2 or not parts["unseen"]:
            raise ConfigError(
                f"the split of {self.dataset} has {len(parts['id'])} ID and {len(parts['unseen'])} unseen classes of "
                f"{len(counts)}; it needs at least 2 and 1: choose other shares, or fewer min_images"
            )
        return ClassSplit(
            rule=self,
            id=tuple(parts["id"]),
            seen=tuple(parts["seen"]),
            unseen=tuple(parts["unseen"]),
            dropped=dropped,
            groups={name: classes for name, classes in groups.items() if classes != (name,)},
        )

    def _grouped(self, classes: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Return the classes of each group, in the order of the first class of each."""
        grouped: dict[str, tuple[str, ...]] = {}
        for name in classes:
            home = [group for group, patterns in self.groups.items() if _fits(name, patterns)]
            if len(home) > 1:
                raise ConfigError(f"the class {name} belongs to the groups {home[0]!r} and {home[1]!r}; keep one")
            group = home[0] if home else name
            grouped[group] = (*grouped.get(group, ()), name)
        return grouped

    def _at_random(self, groups: Mapping[str, tuple[str, ...]]) -> dict[Share, list[str]]:
        import numpy as np

        names = list(groups)
        order = np.random.default_rng(self.seed).permutation(len(names))
        ends = np.rint(np.cumsum(self.shares) / sum(self.shares) * len(names)).astype(int)
        chosen = np.split(order, ends[:2])
        return {
            share: [name for i in sorted(part) for name in groups[names[i]]]
            for share, part in zip(SHARES, chosen, strict=True)
        }

    def _as_given(self, groups: Mapping[str, tuple[str, ...]], known: Sequence[str]) -> dict[Share, list[str]]:
        assert self.given is not None
        parts: dict[Share, list[str]] = {share: [] for share in SHARES}
        home: dict[str, Share] = {}
        for share, patterns in self.given.items():
            for pattern in patterns:
                if pattern not in groups and not any(fnmatchcase(name, pattern) for name in known):
                    raise ConfigError(f"the split names the class {pattern!r}, which {self.dataset} does not have")
            for group, classes in groups.items():
                for name in classes:
                    if group not in patterns and not _fits(name, patterns):
                        continue
                    if name in home:
                        raise ConfigError(
                            f"the split has the class {name} in {home[name]!r} and in {share!r}; keep one"
                        )
                    home[name] = share
                    parts[share].append(name)
        return parts


@dataclass(frozen=True, kw_only=True)
class KnownSplit(SplitRule):
    """A division that was drawn before: whatever drew it, these are its classes, in their order.

    Attributes:
        drawn: the classes of each part.
    """

    drawn: Mapping[Share, tuple[str, ...]]

    def draw(self, counts: Mapping[str, int]) -> ClassSplit:
        """Return the split as it was drawn.

        Raises:
            DataError: a class is not there any more.
        """
        parts = {share: self.drawn.get(share, ()) for share in SHARES}
        used = {name for classes in parts.values() for name in classes}
        if gone := sorted(used - counts.keys()):
            raise DataError(f"{self.dataset} has no class {gone[0]!r} any more, which was in the split")
        return ClassSplit(
            rule=self, **parts, dropped={name: "not drawn" for name in counts if name not in used}, groups={}
        )


@dataclass(frozen=True, kw_only=True)
class ClassSplit:
    """The classes of a data set, divided.

    Attributes:
        rule: that divided them.
        id: in-distribution classes.
        seen: classes whose images may be used in training as out-of-distribution, without labels.
        unseen: classes that are only tested on.
        dropped: why each of the other classes is not used.
        groups: the classes of each group that was kept together.
    """

    rule: SplitRule
    id: tuple[str, ...]
    seen: tuple[str, ...]
    unseen: tuple[str, ...]
    dropped: Mapping[str, str]
    groups: Mapping[str, tuple[str, ...]]

    def part(self, share: Share) -> tuple[str, ...]:
        """Return the classes of a part."""
        return {"id": self.id, "seen": self.seen, "unseen": self.unseen}[share]

    def lines(self) -> list[str]:
        """Return the split in words, a line a part, with groups named once."""
        how = "as given" if self.rule.given is not None else f"{self.rule.described}, seed {self.rule.seed}"
        home = {name: group for group, classes in self.groups.items() for name in classes}

        def named(classes: Sequence[str]) -> str:
            entries = dict.fromkeys(home.get(name, name) for name in classes)
            return ", ".join(
                f"{entry} ({' '.join(self.groups[entry])})" if entry in self.groups else entry for entry in entries
            )

        parts = {"in-distribution": self.id, "seen OOD": self.seen, "unseen OOD": self.unseen}
        return [
            f"split of {self.rule.dataset} ({how})",
            *(f"  {len(classes)} classes {title}: {named(classes)}" for title, classes in parts.items() if classes),
            f"  {len(self.dropped)} classes dropped: "
            + (", ".join(f"{name} ({why})" for name, why in self.dropped.items()) or "none"),
        ]

    def as_record(self) -> dict[str, Any]:
        """Return the split as plain values, for a result record."""
        return {
            "dataset": self.rule.dataset,
            "shares": self.rule.described,
            "seed": None if self.rule.given is not None else self.rule.seed,
            "min_images": self.rule.min_images,
            **{share: list(self.part(share)) for share in SHARES},
            "groups": {name: list(classes) for name, classes in self.groups.items()},
            "dropped": dict(self.dropped),
        }


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def parse_split(text: str, rule: SplitRule, *, seed: int | None = None) -> SplitRule:
    """Return a rule changed as a user says.

    Args:
        text: shares such as "50/20/30", or the path of a TOML file; see `read_split`.
        rule: what is changed; its groups stay unless a file brings others.
        seed: of the random division; None keeps the one of the rule or of the file.

    Raises:
        ConfigError: the text is neither, or the file does not hold a split.
    """
    changed = replace(rule, shares=_shares(text)) if _looks_like_shares(text) else read_split(Path(text), rule)
    if seed is None:
        return changed
    if changed.given is not None:
        raise ConfigError(f"{text} names its classes, so a split seed changes nothing; leave --split-seed out")
    return replace(changed, seed=seed)


def _looks_like_shares(text: str) -> bool:
    return not Path(text).is_file() and set(text) <= set("0123456789./ ") and "/" in text


def _shares(text: str) -> tuple[float, float, float]:
    try:
        first, second, third = (float(part) for part in text.split("/"))
    except ValueError:
        raise ConfigError(f"a split has three shares, such as 50/20/30, got {text!r}") from None
    if not any(math.isclose(first + second + third, whole) for whole in (1, 100)):
        raise ConfigError(f"the shares of a split must add up to 100, got {text!r}; such as 50/20/30")
    return first, second, third


def read_split(file: Path, rule: SplitRule) -> SplitRule:
    """Return a rule changed by a TOML file.

    It may hold `shares = "50/20/30"`, `seed`, `min_images`, `drop = [patterns]`, a table `[groups]` with
    `name = [patterns]`, and the lists `id`, `seen` and `unseen` with classes, patterns or names of groups.

    Raises:
        ConfigError: there is no such file, or it holds something else.
    """
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"--split {file}: there is no such file; give shares such as 50/20/30, or a TOML file with the lists "
            "id, seen and unseen"
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{file} is not a TOML file that can be read: {error}") from error
    known = {"shares", "seed", "min_images", "drop", "groups", *SHARES}
    if unknown := [name for name in content if name not in known]:
        raise ConfigError(f"{file}: {unknown[0]!r} is no part of a split; it may hold: {', '.join(sorted(known))}")
    try:
        changes: dict[str, Any] = {name: content[name] for name in ("seed", "min_images") if name in content}
        if "shares" in content and not isinstance(content["shares"], str):
            raise ConfigError(f'{file}: shares must be a text such as "50/20/30", got {content["shares"]!r}')
        if "shares" in content:
            changes["shares"] = _shares(content["shares"])
        if "drop" in content:
            changes["drop"] = _names(content["drop"])
        if "groups" in content:
            changes["groups"] = {name: _names(patterns) for name, patterns in content["groups"].items()}
        if given := {share: _names(content[share]) for share in SHARES if share in content}:
            changes["given"] = given
    except (TypeError, AttributeError, ValueError) as error:
        raise ConfigError(f'{file}: {error}; classes are lists of names, such as id = ["stop", "p*"]') from error
    return replace(rule, **changes)


def _names(values: object) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError(f"{values!r} is no list of names")
    return tuple(values)


def class_counts(labels: Sequence[int] | Any, class_names: Sequence[str], dataset: str) -> dict[str, int]:
    """Return how many images each class has.

    Raises:
        DataError: there are no labels.
    """
    import numpy as np

    if labels is None:
        raise DataError(f"{dataset} has no labels, so its classes cannot be split; put its images into class folders")
    counts = np.bincount(labels, minlength=len(class_names))
    return {name: int(count) for name, count in zip(class_names, counts, strict=True)}
