"""From words to a request: names found, settings checked, nothing loaded yet."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from oodbench.benchmark import OodSet, Part
from oodbench.contamination import Contamination
from oodbench.errors import ConfigError, PluginError, UnknownName, did_you_mean
from oodbench.folders import is_path, place
from oodbench.objectives import CrossEntropy
from oodbench.plugins import registry
from oodbench.plugins.shapes import unfit
from oodbench.settings import configure, parse_settings, reconfigure
from oodbench.spelling import for_shell
from oodbench.suite import Suite
from oodbench.tuning import changes, check_tune, tuned

from .naming import GivenImages
from .needs import objectives_of, untunable

if TYPE_CHECKING:
    from oodbench.api import Method
    from oodbench.benchmark import Benchmark, Recipe
    from oodbench.given.model import GivenModel

Settings = Mapping[str, Mapping[str, object]]
"""By owner (a method's name, or "recipe"): settings by name."""

RECIPE = "recipe"
TUNE = "tune"
"""Name of the setting that says what others are chosen on."""
ALL = "all"
POSTHOC = "posthoc"
"""All methods that score the plain classifier, or several of them, and train nothing else."""


@dataclass(frozen=True, kw_only=True)
class MethodChoice:
    """A method that was asked for.

    Attributes:
        name: as registered.
        kind: its class.
        settings: hyper-parameters that the user chose; they go before those that a recipe prescribes.
        given: the method itself, where it was given as an object: recipes change nothing of it.
    """

    name: str
    kind: type[Method]
    settings: Mapping[str, object]
    given: Method | None = None

    def prescribed(self, recipe: Recipe) -> Method:
        """Return the method as a recipe prescribes it."""
        return configure(self.kind, recipe.methods.get(self.name, {}), of=self.name)

    def resolved(self, benchmark: Benchmark, recipe: Recipe, tune: str | None) -> list[ResolvedMethod]:
        """Return the method as the user wants it, or the variants that a benchmark runs where nothing was said.

        Args:
            benchmark: that it is run on.
            recipe: of the training.
            tune: what settings are chosen on that were not given, where the method has such and does not say itself.
        """
        prescribed = self.prescribed(recipe)
        if self.given is not None:
            methods = [self.given]
        else:
            several = [self.settings] if self.settings else benchmark.variants.get(self.name, ({},))
            methods = [self._method(prescribed, settings, tune) for settings in several]
        return [
            ResolvedMethod(name=self.name, method=method, changed=changes(method, prescribed)) for method in methods
        ]

    def _method(self, prescribed: Method, settings: Mapping[str, object], tune: str | None) -> Method:
        """Return the method with settings; `tune` is one of those of every method that has a grid."""
        own = settings.get(TUNE) if hasattr(self.kind, "grid") else None
        given = {name: value for name, value in settings.items() if own is None or name != TUNE}
        method = reconfigure(prescribed, given, of=self.name)
        if own is None and (tune is None or TUNE in given):
            return method
        changed = tuned(method, str(own or tune), name=self.name, given=given)
        if own is not None and changed is None:
            raise ConfigError(
                f"{self.name}.{TUNE}={own} has nothing to choose, since {' and '.join(given)} is given; leave one out"
            )
        return changed or method


@dataclass(frozen=True, kw_only=True)
class ResolvedMethod:
    """A method on a benchmark, with all of its hyper-parameters.

    Attributes:
        name: as registered.
        method: ready to be fitted.
        changed: its hyper-parameters that differ from what the recipe prescribes.
    """

    name: str
    method: Method
    changed: Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a user asks for.

    Attributes:
        benchmarks: to run, in order.
        methods: to score, in order, by the name of the benchmark.
        every_method: whether all methods were asked for; those that a benchmark cannot serve are then left out.
        broken: why an installed method cannot be among all of them, a sentence each.
        recipe: name of a training recipe, or None for each benchmark's default.
        recipe_settings: changes to that recipe.
        seeds: to run with.
        tune: what settings are chosen on that were not given, a word of `oodbench.tuning.Tune`, or None.
        untuned: names of methods that have nothing to choose, where settings are to be chosen.
        model: a trained classifier to score instead of training networks, or None.
        snapshots: of how many images of each test set outputs are kept while networks are trained; 0 for none.
        train_again: whether networks that are there without these snapshots are trained once more.
    """

    benchmarks: tuple[Benchmark, ...]
    methods: Mapping[str, tuple[ResolvedMethod, ...]]
    every_method: bool
    broken: tuple[str, ...]
    recipe: str | None
    recipe_settings: Mapping[str, object]
    seeds: tuple[int, ...]
    tune: str | None = None
    untuned: tuple[str, ...] = ()
    model: GivenModel | None = None
    snapshots: int = 0
    train_again: bool = False


def request(
    benchmarks: Sequence[str | Benchmark | Suite],
    methods: Sequence[str | Method],
    *,
    seeds: int = 1,
    first_seed: int = 0,
    recipe: str | None = None,
    settings: Settings | Sequence[str] = (),
    out: Sequence[str] = (),
    contaminate: str | None = None,
    contaminate_labels: str | None = None,
    tune: str | None = None,
    own: GivenImages | None = None,
    model: GivenModel | None = None,
    snapshots: int | None = None,
) -> Request:
    """Find names and check settings, before anything is loaded.

    Args:
        benchmarks: names of benchmarks or suites, paths of folders or ZIPs of images, or such objects of your own.
        methods: names such as "odm" or "odm(margin=5)", or methods with hyper-parameters of your own; "all" for every
            installed method, "posthoc" for those that train nothing but the plain classifier. An object keeps all its
            settings, whatever a recipe prescribes.
        seeds: how many.
        first_seed: the first of them.
        recipe: name of a training recipe that every benchmark has.
        settings: by owner ("odm", "recipe"), or texts such as "odm.margin=5".
        out: more OOD test sets, each the name of a data set or a path; "lsun=scenes" puts one in the place of another.
        contaminate: other images among the training images, such as "0.1:omniglot": a share, and a set by name or path.
        contaminate_labels: of these: "random", as with None, or "none".
        tune: what methods choose those of their settings on that were not given: "id", "val", "seen" or "test"; None
            for nothing. A method says it for itself by the setting "tune": "react(tune=val)".
        own: how images of the user's own, or the classes of any labelled set, make a benchmark.
        model: a trained classifier to score instead of training networks.
        snapshots: of how many images of each test set outputs are kept after each epoch of a training; None for none.

    Raises:
        UnknownName: a name is unknown; the message names the nearest ones.
        ConfigError: a setting has a value that it cannot have, or two methods or OOD sets have one name.
    """
    _check_seeds(seeds, first_seed)
    texts = settings if isinstance(settings, Mapping) else parse_settings(settings)
    given = {registry.spelled("methods", owner): entry for owner, entry in texts.items()}
    found = _unique([benchmark for entry in benchmarks for benchmark in _benchmarks(entry, own or GivenImages())])
    if contaminate is not None:
        found = _contaminated(found, contaminate, contaminate_labels or "random", model)
    elif contaminate_labels is not None:
        raise ConfigError("--contaminate-labels is for images that are mixed in; give --contaminate too")
    _check_benchmarks(found)
    every = ALL in methods or POSTHOC in methods
    _check_all(methods)
    _check_training(model, recipe, given.get(RECIPE, {}))
    _check_snapshots(snapshots, model)
    named, broken = _importable() if every else ([], [])
    if ALL not in methods:
        named = [name for name in named if _is_posthoc(registry.method(name))]
    chosen = _unique([_choice(entry, given) for entry in (*named, *methods) if entry not in (ALL, POSTHOC)])
    _check_owners(given, chosen)
    _check_methods(chosen)
    choices = sorted(chosen, key=_rank) if every else chosen
    recipe_settings = given.get(RECIPE, {})
    if tune is not None:
        _check_tunable(check_tune(tune), found)
    methods_by_benchmark = {entry.name: _resolved(choices, entry, recipe, recipe_settings, tune) for entry in found}
    return Request(
        benchmarks=tuple(_with_sets(benchmark, out) for benchmark in found),
        methods=methods_by_benchmark,
        every_method=every,
        broken=tuple(broken),
        recipe=recipe,
        recipe_settings=recipe_settings,
        seeds=tuple(range(first_seed, first_seed + seeds)),
        tune=tune,
        untuned=() if tune is None else _untuned(methods_by_benchmark),
        model=model,
        snapshots=snapshots or 0,
    )


def _benchmarks(entry: str | Benchmark | Suite, own: GivenImages) -> tuple[Benchmark, ...]:
    if isinstance(entry, Suite):
        return entry.benchmarks
    return own.benchmarks(entry) if isinstance(entry, str) else (entry,)


def _check_tunable(tune: str, benchmarks: Sequence[Benchmark]) -> None:
    """Refuse to choose settings on what a benchmark does not have, before its images are loaded.

    Raises:
        ConfigError: it has none.
    """
    for benchmark in benchmarks:
        if reason := untunable(tune, benchmark):
            raise ConfigError(f"--tune {tune} {reason}")


def _untuned(methods: Mapping[str, Sequence[ResolvedMethod]]) -> tuple[str, ...]:
    """Return the methods that choose nothing, in order, each once."""
    chosen = {entry.name for entries in methods.values() for entry in entries if TUNE in entry.changed}
    return tuple(
        dict.fromkeys(entry.name for entries in methods.values() for entry in entries if entry.name not in chosen)
    )


MOST_SEEDS = 1000
"""Of one run; a plan names each of its cells."""
HIGHEST_SEED = 1_000_000
"""That a run may begin with."""


def _check_seeds(seeds: object, first: object) -> None:
    if not isinstance(seeds, int) or isinstance(seeds, bool):
        raise ConfigError(f"seeds must be a number, how many to run, such as 3, got {seeds!r}")
    if seeds < 1:
        raise ConfigError(f"--seeds must be at least 1, got {seeds}")
    if seeds > MOST_SEEDS:
        raise ConfigError(f"--seeds must be at most {MOST_SEEDS:,}, how many to run, got {seeds:,}")
    if not isinstance(first, int) or isinstance(first, bool):
        raise ConfigError(f"first_seed must be a whole number, such as 3, got {first!r}")
    if not 0 <= first <= HIGHEST_SEED:
        raise ConfigError(f"--first-seed must be from 0 to {HIGHEST_SEED:,}, got {first:,}")


def _check_all(methods: Sequence[str | Method]) -> None:
    """Refuse a method that is asked for beside all of them: it is one, or it was to be the only one."""
    named = [entry for entry in methods if isinstance(entry, str) and entry != ALL and "(" not in entry]
    if ALL in methods and named:
        raise ConfigError(
            f"all methods are asked for, and {named[0]} is one of them; leave one of the two out, or give settings: "
            f"'{named[0]}(SETTING=VALUE)'"
        )


def _check_training(model: GivenModel | None, recipe: str | None, recipe_settings: Mapping[str, object]) -> None:
    """Refuse words on the training where there is none."""
    if model is None:
        return
    if recipe is not None:
        raise ConfigError(f"a trained model is given, so nothing is trained: leave --recipe {recipe} out")
    if recipe_settings:
        name = next(iter(recipe_settings))
        raise ConfigError(f"a trained model is given, so nothing is trained: leave --set {RECIPE}.{name} out")


SNAPSHOTS = (10, 1000)
"""The least and the most images of each set: fewer show no cloud, more hide each other."""


def _check_snapshots(snapshots: object, model: GivenModel | None) -> None:
    if snapshots is None:
        return
    least, most = SNAPSHOTS
    if not isinstance(snapshots, int) or isinstance(snapshots, bool) or not least <= snapshots <= most:
        raise ConfigError(
            f"--snapshots must be from {least} to {most:,}, how many images of each set are looked at, such as 300, "
            f"got {snapshots!r}"
        )
    if model is not None:
        raise ConfigError("a trained model is given, so nothing is trained: leave --snapshots out")


def _contaminated(benchmarks: Sequence[Benchmark], text: str, labels: str, model: GivenModel | None) -> list[Benchmark]:
    """Return benchmarks with other images among their training images."""
    if model is not None:
        raise ConfigError(
            "--contaminate is for networks that are trained here, and a trained model is given; leave it out"
        )
    contamination = Contamination.parsed(text, labels)
    return [benchmark.contaminated(contamination) for benchmark in benchmarks]


def _check_benchmarks(benchmarks: Sequence[Benchmark]) -> None:
    """Refuse two benchmarks that results could not tell apart."""
    names = [benchmark.name for benchmark in benchmarks]
    if repeated := [name for i, name in enumerate(names) if name in names[:i]]:
        raise ConfigError(f"two benchmarks are called {repeated[0]!r}; rename one folder, or run one after the other")


def _importable() -> tuple[list[str], list[str]]:
    """Return the names of all methods that can be imported, and what is wrong with the others."""
    named, broken = [], []
    for name in registry.names("methods"):
        try:
            registry.method(name)
        except PluginError as error:
            broken.append(str(error))
        else:
            named.append(name)
    return named, broken


def _is_posthoc(kind: type[Method]) -> bool:
    return all(objective == CrossEntropy() for objective in kind().networks)


def _unique(entries: Sequence[Any]) -> list[Any]:
    return [entry for i, entry in enumerate(entries) if entry not in entries[:i]]


def _choice(entry: str | Method | type[Method], settings: Settings) -> MethodChoice:
    if isinstance(entry, str):
        typed, own = parse_method(entry)
        name, kind = registry.find("methods", typed).name, registry.method(typed)
        return MethodChoice(name=name, kind=kind, settings={**settings.get(name, {}), **own})
    _check_kind(entry)
    if isinstance(entry, type):
        entry = configure(entry, {}, of=entry.__name__)
    name = _name_of(type(entry))
    if name in settings:
        raise ConfigError(f"{name} is given as an object, which has all of its settings; change them there")
    fields = {field.name: getattr(entry, field.name) for field in dataclasses.fields(cast("Any", entry)) if field.init}
    return MethodChoice(name=name, kind=type(entry), settings=fields, given=entry)


def _check_kind(entry: object) -> None:
    """Refuse what is neither a method nor the class of one, by the contract that plugins keep."""
    kind = entry if isinstance(entry, type) else type(entry)
    if not hasattr(kind, "fit"):
        raise ConfigError(f"a method must be a name or an object such as Gap(), got {entry!r}")
    if reason := unfit("methods", kind.__name__, kind):
        raise ConfigError(f"the method {kind.__name__} cannot be used: {reason}")


def _name_of(kind: type[Method]) -> str:
    """Return the name of a class that was passed: as it is registered, or its own, which nobody else may have."""
    for name, known in registry.usable("methods").items():
        if known is kind:
            return name
    given = getattr(kind, "name", None)
    name = given if isinstance(given, str) else kind.__name__.lower()
    taken = registry.spelled("methods", name)
    if taken in registry.names("methods"):
        raise ConfigError(
            f"the class {kind.__name__} has the name of the method {taken!r} of {registry.origin('methods', taken)}; "
            "rename the class, or give it a name: name: ClassVar[str] = 'my-method'"
        )
    return name


def parse_method(text: str) -> tuple[str, dict[str, object]]:
    """Return the name and the settings that a method is asked for with.

    Raises:
        ConfigError: the text is not of the form NAME or NAME(SETTING=VALUE, ...).

    >>> parse_method("odm(margin=5, squared=false)")
    ('odm', {'margin': '5', 'squared': 'false'})
    """
    match = re.fullmatch(r"\s*([^()\s]+)\s*(?:\((.*)\))?\s*", text)
    pairs = [pair.partition("=") for pair in (match[2] or "").split(",") if pair.strip()] if match else []
    if match is None or not all(name.strip() and equals for name, equals, _ in pairs):
        raise ConfigError(f"{text!r} is not of the form NAME or NAME(SETTING=VALUE, ...), such as odm(margin=5)")
    return match[1], {name.strip(): value.strip() for name, _, value in pairs}


def _rank(choice: MethodChoice) -> tuple[bool, bool, str, int, str]:
    """Put plain classifiers first, methods that share a network together, and those trained on OOD images last."""
    method = choice.given or choice.kind()
    objective = method.networks[0]
    plain = isinstance(objective, CrossEntropy)
    return objective.uses_seen_ood, not plain, objective.name, len(method.sees), choice.name


def _check_owners(settings: Settings, chosen: Sequence[MethodChoice]) -> None:
    known = [*dict.fromkeys(choice.name for choice in chosen), RECIPE]
    if unknown := [owner for owner in settings if owner not in known]:
        raise UnknownName(
            f"settings for {unknown[0]!r}, which is no method of this run{did_you_mean(unknown[0], known)}"
        )


def _resolved(
    choices: Sequence[MethodChoice],
    benchmark: Benchmark,
    recipe: str | None,
    recipe_settings: Mapping[str, object],
    tune: str | None,
) -> tuple[ResolvedMethod, ...]:
    """Return the methods to run on a benchmark; a wrong setting is found here, before images are loaded.

    Raises:
        UnknownName: the benchmark has no such recipe, or a method or the recipe no such setting.
        ConfigError: a setting has a value that it cannot have.
    """
    if recipe is not None and recipe not in benchmark.recipes:
        raise UnknownName(
            f"benchmark {benchmark.name} has no recipe {recipe!r}{did_you_mean(recipe, benchmark.recipes)}"
        )
    chosen = benchmark.recipes[recipe or benchmark.recipe]
    resolved = tuple(entry for choice in choices for entry in choice.resolved(benchmark, chosen, tune))
    for entry in resolved:
        for objective in objectives_of(entry.method):
            reconfigure(chosen.config(objective.name), recipe_settings, of=RECIPE)
    return resolved


def _check_methods(chosen: Sequence[MethodChoice]) -> None:
    kinds: dict[str, type[Method]] = {}
    for choice in chosen:
        if kinds.setdefault(choice.name, choice.kind) is not choice.kind:
            raise ConfigError(
                f"two classes are called {choice.name!r}; rename one, or give it a name: "
                "name: ClassVar[str] = 'my-method'"
            )


def _with_sets(benchmark: Benchmark, out: Sequence[str]) -> Benchmark:
    """Return a benchmark with more OOD test sets, or others in their places."""
    sets = list(benchmark.ood)
    for text in out:
        names = [entry.name for entry in sets]
        stands_for, equals, given = _parted(text, names)
        name, dataset = place(given)
        if dataset == benchmark.id_test.dataset and (equals or name not in names):
            raise ConfigError(
                f"{name} holds the in-distribution images of {benchmark.name}, so it cannot be an OOD set; name another"
            )
        if equals and stands_for not in names:
            raise UnknownName(
                f"benchmark {benchmark.name} has no OOD set {stands_for!r}{did_you_mean(stands_for, names)}"
            )
        if equals:
            i = names.index(stands_for)
            sets[i] = dataclasses.replace(
                sets[i], name=f"{name} (for {stands_for})", part=Part(dataset=dataset), optional=False
            )
        elif name not in names:
            sets.append(OodSet(name=name, part=Part(dataset=dataset), role="anomaly", optional=False))
        else:
            _check_same(sets[names.index(name)], dataset, benchmark)
    return dataclasses.replace(benchmark, ood=tuple(sets))


def _parted(text: str, names: Sequence[str]) -> tuple[str, str, str]:
    """Return the set that another one stands for, "=", and the other one; a path may hold that sign as well.

    >>> _parted("lsun=./a=b", ["lsun"]), _parted("./a=b", ["lsun"])
    (('lsun', '=', './a=b'), ('', '', './a=b'))
    """
    known = [name for name in names if text.startswith(f"{name}=")]
    if known:
        name = max(known, key=len)
        return name, "=", text.removeprefix(f"{name}=")
    first, equals, rest = text.partition("=")
    return ("", "", text) if is_path(first) else (first if equals else "", equals, rest if equals else text)


def _check_same(known: OodSet, dataset: str, benchmark: Benchmark) -> None:
    """Refuse a set that has the name of another one, which would be left out without a word."""
    if known.part.dataset == dataset and known.part.classes is None:
        return
    if known in benchmark.ood:
        raise ConfigError(
            f"benchmark {benchmark.name} has another OOD set {known.name!r}; put yours in its place: "
            f"{for_shell('--out', f'{known.name}={dataset}')}, or rename the folder"
        )
    raise ConfigError(
        f"two OOD sets are called {known.name!r}: {known.part.dataset} and {dataset}; rename one of the folders"
    )
