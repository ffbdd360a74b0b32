"""Artifacts and files are whole or absent, and hashes say what they are hashes of."""

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from oodbench.benchmark import Part
from oodbench.errors import StoreError
from oodbench.folders import default_cache_dir
from oodbench.hashing.code import code_digest
from oodbench.hashing.values import array_digest, digest, file_digest, plain
from oodbench.images import Conversion
from oodbench.store.artifacts import ArtifactStore
from oodbench.store.atomic import folder_atomic, write_atomic

KEY = "ab" + "0" * 62


def files_below(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


@pytest.fixture
def broken_replace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Die at the last moment of an atomic write."""

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", fail)


def test_an_atomic_write_holds_all_bytes(tmp_path: Path) -> None:
    write_atomic(tmp_path / "deep" / "file", b"all of it")
    assert (tmp_path / "deep" / "file").read_bytes() == b"all of it"


def test_an_atomic_write_replaces_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old and longer")
    write_atomic(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"


def test_an_atomic_write_leaves_only_its_file(tmp_path: Path) -> None:
    write_atomic(tmp_path / "folder" / "file", b"new")
    assert files_below(tmp_path / "folder") == [tmp_path / "folder" / "file"]


def test_others_may_read_what_was_written_atomically(tmp_path: Path) -> None:
    write_atomic(tmp_path / "file", b"new")
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


@pytest.mark.usefixtures("broken_replace")
def test_an_atomic_write_that_dies_leaves_the_old_file_whole(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"


@pytest.mark.usefixtures("broken_replace")
def test_an_atomic_write_that_dies_leaves_no_temporary_file(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    with pytest.raises(KeyboardInterrupt):
        write_atomic(folder / "file", b"new")
    assert files_below(folder) == []


def test_an_atomic_folder_is_not_there_before_it_is_whole(tmp_path: Path) -> None:
    with folder_atomic(tmp_path / "folder") as aside:
        (aside / "file").write_text("half")
        assert not (tmp_path / "folder").exists()


def test_an_atomic_folder_holds_what_was_written(tmp_path: Path) -> None:
    with folder_atomic(tmp_path / "folder") as aside:
        (aside / "file").write_text("whole")
    assert (tmp_path / "folder" / "file").read_text() == "whole"


def test_an_atomic_folder_that_dies_leaves_nothing(tmp_path: Path) -> None:
    def die() -> None:
        with folder_atomic(tmp_path / "parent" / "folder") as aside:
            (aside / "file").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        die()
    assert files_below(tmp_path / "parent") == []


def test_an_atomic_folder_leaves_that_of_a_faster_process(tmp_path: Path) -> None:
    with folder_atomic(tmp_path / "folder") as aside:
        (aside / "file").write_text("slow")
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "file").write_text("fast")
    assert (tmp_path / "folder" / "file").read_text() == "fast"


def test_an_atomic_folder_leaves_no_temporary_folder_beside_that_of_a_faster_process(tmp_path: Path) -> None:
    with folder_atomic(tmp_path / "parent" / "folder") as aside:
        (aside / "file").write_text("slow")
        (tmp_path / "parent" / "folder").mkdir()
        (tmp_path / "parent" / "folder" / "file").write_text("fast")
    assert [path.name for path in (tmp_path / "parent").iterdir()] == ["folder"]


def writes(content: str, facts: dict[str, int] | None = None) -> Callable[[Path], dict[str, int] | None]:
    def write(aside: Path) -> dict[str, int] | None:
        (aside / "file").write_text(content)
        return facts

    return write


@pytest.fixture
def store(cache_dir: Path) -> ArtifactStore:
    return ArtifactStore(cache_dir)


def test_a_saved_artifact_is_found_by_a_new_process(store: ArtifactStore, cache_dir: Path) -> None:
    saved = store.save("things", KEY, writes("x"))
    assert ArtifactStore(cache_dir).find("things", KEY) == saved


def test_an_artifact_that_was_never_saved_is_not_found(store: ArtifactStore) -> None:
    assert store.find("things", KEY) is None


def test_artifacts_of_another_kind_are_not_found(store: ArtifactStore) -> None:
    store.save("things", KEY, writes("x"))
    assert store.find("others", KEY) is None


def test_facts_are_kept_with_an_artifact(store: ArtifactStore, cache_dir: Path) -> None:
    store.save("things", KEY, writes("x", {"epochs": 3}))
    assert ArtifactStore(cache_dir).facts("things", KEY) == {"epochs": 3}


def test_the_checksum_of_an_artifact_s_file_is_its_sha_256(store: ArtifactStore) -> None:
    folder = store.save("things", KEY, writes("x"))
    assert store.checksum("things", KEY, "file") == file_digest(folder / "file")


@pytest.mark.parametrize("ask", [lambda store: store.facts("a", KEY), lambda store: store.checksum("a", KEY, "b")])
def test_an_artifact_that_is_gone_is_an_error_with_a_next_step(ask: Callable, store: ArtifactStore) -> None:
    with pytest.raises(StoreError, match="run the command again to make it"):
        ask(store)


def test_a_damaged_artifact_is_not_found(store: ArtifactStore, cache_dir: Path) -> None:
    folder = store.save("things", KEY, writes("right"))
    (folder / "file").write_text("wrong")
    assert ArtifactStore(cache_dir).find("things", KEY) is None


def test_a_damaged_artifact_can_be_saved_again(store: ArtifactStore, cache_dir: Path) -> None:
    folder = store.save("things", KEY, writes("right"))
    (folder / "file").write_text("wrong")
    reopened = ArtifactStore(cache_dir)
    reopened.find("things", KEY)
    assert (reopened.save("things", KEY, writes("again")) / "file").read_text() == "again"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_artifact_that_fails_to_be_made_leaves_nothing(
    error: type[BaseException], store: ArtifactStore, cache_dir: Path
) -> None:
    def write(aside: Path) -> None:
        (aside / "file").write_text("half")
        raise error

    with pytest.raises(error):
        store.save("things", KEY, write)
    assert [path for path in files_below(cache_dir) if "file" in path.name or ".tmp" in path.name] == []


def test_the_artifact_of_a_faster_process_is_used(store: ArtifactStore, cache_dir: Path) -> None:
    def write(aside: Path) -> None:
        ArtifactStore(cache_dir).save("things", KEY, writes("fast"))
        (aside / "file").write_text("slow")

    assert (store.save("things", KEY, write) / "file").read_text() == "fast"


def test_a_cache_that_cannot_be_written_to_is_an_error_with_a_next_step(tmp_path: Path) -> None:
    # A file in place of the folder: permissions do not stop root.
    (tmp_path / "cache").write_text("in the way")
    store = ArtifactStore(tmp_path / "cache")
    with pytest.raises(StoreError, match=f"cannot write to the cache folder {tmp_path}/cache .*--cache-dir"):
        store.save("things", KEY, writes("x"))


def test_a_full_disk_is_an_error_that_says_so(store: ArtifactStore) -> None:
    def write(aside: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreError, match="No space left on device.*free space or name another one"):
        store.save("things", KEY, write)


def test_the_environment_says_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OODBENCH_CACHE", str(tmp_path / "here"))
    assert default_cache_dir() == tmp_path / "here"


def test_the_cache_is_in_the_user_s_cache_folder_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OODBENCH_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / "oodbench"


def test_a_digest_does_not_depend_on_the_order_of_a_mapping() -> None:
    assert digest({"a": 1, "b": {"c": 2, "d": 3}}) == digest({"b": {"d": 3, "c": 2}, "a": 1})


def test_a_digest_does_not_depend_on_the_order_of_a_set() -> None:
    assert digest(frozenset("abc")) == digest(frozenset("cba"))


@pytest.mark.parametrize("other", [[2, 1], [1, 2, None], [1, "2"], [1, 2.0], {"a": [1, 2]}, [[1], 2], [1, True], None])
def test_a_digest_depends_on_values_and_on_their_types(other: object) -> None:
    assert digest([1, 2]) != digest(other)


def test_a_digest_of_a_dataclass_depends_on_its_fields() -> None:
    assert digest(Conversion(size=(8, 8))) != digest(Conversion(size=(8, 9)))


def test_a_dataclass_in_plain_form_is_a_mapping_of_its_fields() -> None:
    expected = {"dataset": "x", "split": "test", "classes": ["a"], "share": None, "settings": {"count": 1}}
    assert plain(Part(dataset="x", classes=("a",), settings={"count": 1})) == expected


@pytest.mark.parametrize("value", [object(), np.zeros(2), len])
def test_what_has_no_plain_form_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="has no canonical form"):
        digest([value])


def test_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest(float("nan"))


def test_the_digest_of_a_file_is_its_sha_256(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert file_digest(tmp_path / "abc") == expected


@pytest.mark.parametrize(
    "other",
    [
        np.arange(12).reshape(4, 3),
        np.arange(12).reshape(3, 4).astype(np.int32),
        np.arange(12).reshape(3, 4)[::-1],
        np.arange(1, 13).reshape(3, 4),
    ],
    ids=["shape", "type", "order", "values"],
)
def test_an_array_digest_depends_on_everything_about_the_array(other: np.ndarray) -> None:
    assert array_digest(np.arange(12).reshape(3, 4)) != array_digest(other)


def test_an_array_digest_does_not_depend_on_the_layout_in_memory() -> None:
    array = np.arange(12).reshape(3, 4)
    assert array_digest(array) == array_digest(np.asfortranarray(array))


def test_an_array_digest_tells_a_missing_array_from_an_empty_one() -> None:
    assert array_digest(np.arange(3), None) != array_digest(np.arange(3), np.arange(0))


def test_an_array_that_is_hashed_in_pieces_has_the_same_digest_in_memory_and_mapped(tmp_path: Path) -> None:
    # 65 MiB: more than one piece.
    array = np.zeros((65, 1 << 20), dtype=np.uint8)
    array[-1, -1] = 1
    np.save(tmp_path / "x.npy", array)
    assert array_digest(array) == array_digest(np.load(tmp_path / "x.npy", mmap_mode="r"))


def test_the_last_piece_of_an_array_counts() -> None:
    array = np.zeros((65, 1 << 20), dtype=np.uint8)
    before = array_digest(array)
    array[-1, -1] = 1
    assert before != array_digest(array)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], ModuleType]:
    """Import a module from its source."""

    def load(name: str, source: str) -> ModuleType:
        path = tmp_path / f"{name}.py"
        path.write_text(source)
        spec = importlib.util.spec_from_file_location(name, path)
        loaded = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, loaded)
        spec.loader.exec_module(loaded)
        return loaded

    return load


SOURCE = "def helper():\n    return 1\n\nclass Thing:\n    def act(self):\n        return helper()\n"


@pytest.mark.parametrize(
    "other",
    [f"# a comment\n{SOURCE}", SOURCE.replace("\n\n", "\n\n\n\n"), SOURCE.replace("return 1", "return (1)  # one")],
    ids=["comment", "layout", "brackets"],
)
def test_a_code_digest_ignores_comments_and_layout(other: str, module: Callable[[str, str], ModuleType]) -> None:
    assert code_digest(module("first", SOURCE).Thing) == code_digest(module("second", other).Thing)


def test_a_code_digest_depends_on_helpers_in_the_same_file(module: Callable[[str, str], ModuleType]) -> None:
    other = SOURCE.replace("return 1", "return 2")
    assert code_digest(module("first", SOURCE).Thing) != code_digest(module("second", other).Thing)


def test_a_code_digest_depends_on_the_files_of_base_classes(
    module: Callable[[str, str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = []
    for i, source in enumerate((SOURCE, SOURCE.replace("return 1", "return 2"))):
        monkeypatch.setitem(sys.modules, "base", module(f"base{i}", source))
        child = module(f"child{i}", "import base\n\nclass Child(base.Thing): ...\n").Child
        digests.append(code_digest(child))
    assert digests[0] != digests[1]


def test_an_instance_a_class_and_its_method_have_the_same_code_digest(
    module: Callable[[str, str], ModuleType],
) -> None:
    thing = module("first", SOURCE).Thing
    assert len({code_digest(thing), code_digest(thing()), code_digest(thing.act)}) == 1


def typed(source: str) -> type:
    """Return `Thing` as if it had been typed into a notebook."""
    names: dict[str, type] = {"__name__": "notebook"}
    exec(source, names)  # there is no file
    return names["Thing"]


BODIES = [
    "def act(self): return 1",
    "def act(self): return 2",
    "def act(self): return self.one",
    "def act(self): return self.other",
    "def act(self, a, b): return a - b",
    "def act(self, b, a): return a + b",
    "def act(self): return [lambda: 1]",
    "def act(self): return [lambda: 2]",
    "@property\n    def act(self): return 1.0",
    "@property\n    def act(self): return 2.0",
    "@staticmethod\n    def act(): return 1.5",
    "@staticmethod\n    def act(): return 2.5",
    "@classmethod\n    def act(cls): return 1.25",
    "@classmethod\n    def act(cls): return 2.25",
]


def test_edited_code_in_a_notebook_has_another_digest() -> None:
    digests = {code_digest(typed(f"class Thing:\n    {body}\n")) for body in BODIES}
    assert len(digests) == len(BODIES)


def test_the_same_code_typed_again_into_a_notebook_has_the_same_digest() -> None:
    source = "class Thing:\n    def act(self, x):\n        return [lambda: i for i in x if i in {'a', 'b'}]\n"
    assert code_digest(typed(source)) == code_digest(typed(f"\n\n{source}"))


def test_docstrings_do_not_change_the_hash_of_code(module: Callable[[str, str], ModuleType]) -> None:
    plain_code = module("first", "def f(x):\n    return x + 1\n").f
    told = module("second", '"""A."""\n\n\ndef f(x):\n    """B."""\n    return x + 1\n').f

    assert code_digest(plain_code) == code_digest(told)


def test_sibling_that_a_plugin_imports_counts_as_its_code(
    tmp_path: Path, module: Callable[[str, str], ModuleType]
) -> None:
    for folder, factor in (("a", 2), ("b", 2), ("c", 3)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "_part.py").write_text(f"def times(x):\n    return {factor} * x\n")
    source = "def f(x):\n    from ._part import times\n    return times(x)\n"
    same, again, other = (module(f"{folder}/plugin", source).f for folder in "abc")

    assert code_digest(same) == code_digest(again)
    assert code_digest(same) != code_digest(other)
