"""Hashes of objects and of typed-in code: everything counts that a result may depend on, and nothing else."""

from __future__ import annotations

import functools
import math
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from oodbench.hashing.code import code_digest
from oodbench.hashing.contents import content_digest

from .test_request import cells

METHOD = """
import math
from dataclasses import dataclass
from functools import cache, partial
from typing import ClassVar
import torch
from oodbench.posthoc import LogitMethod, PostHocDetector, PostHocMethod

SCALE = 2.0
BIAS = 0.5
TABLE = {"a": [1, 2], "b": {"x", "y", "z"}}

def inner(logits):
    return logits.amax(1)

def helper(logits):
    return inner(logits) * SCALE

@cache
def kept(k):
    return k + 1

def made(k):
    def times(x):
        return x * k
    return times

times = made(3)
shifted = partial(helper)

@dataclass(frozen=True, kw_only=True)
class Judge(PostHocDetector):
    shift: ClassVar[float] = 0.25

    def score(self, batch, factor=1.0):
        return [helper(batch.logits) * factor + self.shift + BIAS for _ in range(1)][0]

@dataclass(frozen=True, kw_only=True)
class Thing(PostHocMethod):
    title: ClassVar[str] = "typed in"
    source: ClassVar[str] = "a test"

    def fit(self, inputs):
        return Judge()

    def unused(self):
        return shifted, times, kept, TABLE, math.tau, torch.relu, self
"""


def typed(source: str) -> type:
    """Return `Thing` as if it had been typed into a notebook."""
    names: dict[str, object] = {"__name__": "notebook"}
    sys.modules["notebook"] = type(sys)("notebook")  # dataclasses look it up
    try:
        exec(compile(source, "<typed>", "exec", dont_inherit=True), names)
    finally:
        del sys.modules["notebook"]
    return names["Thing"]


EDITS = {
    "a helper's helper": ("logits.amax(1)", "-logits.amax(1)"),
    "a number that a helper reads": ("SCALE = 2.0", "SCALE = -2.0"),
    "a number that is read inside a loop": ("BIAS = 0.5", "BIAS = -0.5"),
    "the detector": ("+ self.shift", "- self.shift"),
    "an attribute of the detector": ("float] = 0.25", "float] = 0.5"),
    "a default": ("factor=1.0", "factor=-1.0"),
    "what a closure holds": ("made(3)", "made(4)"),
    "what a cache is of": ("k + 1", "k - 1"),
    "what is bound": ("partial(helper)", "partial(inner)"),
    "an element of a set in a table": ('"z"', '"w"'),
    "what is used of a module": ("math.tau", "math.pi"),
}


@pytest.mark.parametrize(("old", "new"), EDITS.values(), ids=EDITS)
def test_whatever_typed_code_reads_is_part_of_its_digest(old, new):
    assert METHOD.count(old) == 1

    assert code_digest(typed(METHOD)) == code_digest(typed(METHOD))
    assert code_digest(typed(METHOD)) != code_digest(typed(METHOD.replace(old, new)))


def test_what_typed_code_does_not_read_is_no_part_of_its_digest():
    assert code_digest(typed(METHOD)) == code_digest(typed(f"other = 5\n{METHOD}"))


def test_edited_score_that_was_typed_in_is_another_cell_on_the_same_network():
    (one,), (other,) = (cells(typed(source)()) for source in (METHOD, METHOD.replace("SCALE = 2.0", "SCALE = -2.0")))

    assert one.key != other.key
    assert one.network_keys == other.network_keys


def test_what_a_function_made_depends_on_what_it_was_given():
    def made(k):
        class Made:
            def act(self):
                return k

        return Made

    assert code_digest(made(1)) == code_digest(made(1))
    assert code_digest(made(1)) != code_digest(made(2))


class Node:
    """Anything that has attributes."""

    def __init__(self, **attributes):
        vars(self).update(attributes)


class Slotted:
    """An object without a `__dict__`."""

    __slots__ = ("a",)

    def __init__(self, a):
        self.a = a


def doubled(x):
    return 2 * x


DIFFERENT = {
    "type of a number": (1, 1.0),
    "truth": (1, True),
    "not a number": (math.nan, math.inf),
    "order": ([1, 2], [2, 1]),
    "kind of container": ([1], (1,)),
    "element": ({1, 2}, {1, 3}),
    "value of a mapping": ({"a": 1}, {"a": 2}),
    "key of a mapping": ({"a": 1}, {1: 1}),
    "function": (torch.sin, torch.neg),
    "function of Python": (nn.functional.relu, nn.functional.gelu),
    "builtin": (math.sin, math.cos),
    "lambda": (lambda x: x, lambda x: -x),
    "bound argument": (functools.partial(doubled, 1), functools.partial(doubled, 2)),
    "object of a method": (Node(a=1).__init__, Node(a=2).__init__),
    "class": (nn.ReLU, nn.GELU),
    "attribute": (Node(a=Node(b=[1])), Node(a=Node(b=[2]))),
    "slot": (Slotted(1), Slotted(2)),
    "array": (np.zeros(2), np.ones(2)),
    "array of objects": (np.array([None, 1]), np.array([None, 2])),
    "tensor": (torch.zeros(2), torch.ones(2)),
    "type of a tensor": (torch.zeros(2), torch.zeros(2, dtype=torch.float64)),
    "bfloat16": (torch.zeros(2, dtype=torch.bfloat16), torch.ones(2, dtype=torch.bfloat16)),
    "sparse": (torch.eye(2).to_sparse(), torch.eye(2).to_sparse() * 2),
    "generator": (np.random.default_rng(0), np.random.default_rng(1)),
    "dtype": (torch.float32, torch.float16),
}


@pytest.mark.parametrize(("one", "other"), DIFFERENT.values(), ids=DIFFERENT)
def test_things_that_differ_have_different_digests(one, other):
    assert content_digest(one) == content_digest(one)
    assert content_digest(one) != content_digest(other)


def test_equal_things_have_one_digest_whether_they_are_shared_or_not():
    shared = [1, 2]

    assert content_digest([shared, shared]) == content_digest([[1, 2], [1, 2]])
    assert content_digest({"a": 1, "b": 2}) == content_digest({"b": 2, "a": 1})


def test_a_circle_has_an_end():
    def circle(value):
        first = Node(value=value)
        first.second = Node(first=first)
        return first

    assert content_digest(circle(1)) == content_digest(circle(1))
    assert content_digest(circle(1)) != content_digest(circle(2))


def test_a_long_chain_has_an_end():
    chain = None
    for i in range(5000):
        chain = Node(next=chain, i=i)

    assert content_digest(chain) != content_digest(chain.next)


def test_what_cannot_be_taken_apart_counts_by_its_class():
    ones, twos = (i for i in [1]), (i for i in [2])

    assert content_digest(ones) == content_digest(twos) != content_digest(len)


def test_hooks_count_and_their_numbers_do_not():
    def hooked(*hooks):
        module = nn.Linear(2, 2)
        nn.init.zeros_(module.weight)
        nn.init.zeros_(module.bias)
        for hook in hooks:
            module.register_forward_hook(hook)
        return module

    def hook(module, inputs, output):
        return -output

    assert content_digest(hooked(hook)) == content_digest(hooked(hook))
    assert content_digest(hooked(hook)) != content_digest(hooked())


def test_order_of_layers_counts():
    one, other = nn.Sequential(), nn.Sequential()
    for name in ("a", "b"):
        one.add_module(name, nn.ReLU() if name == "a" else nn.GELU())
    for name in ("b", "a"):
        other.add_module(name, nn.ReLU() if name == "a" else nn.GELU())

    assert content_digest(one) != content_digest(other)


PROCESS = """
import functools
from oodbench.given.model import GivenModel
from oodbench.engine.plan import make_plan
from oodbench.engine.request import request
from oodbench.engine.runner import prepare
from tests.helpers import small_benchmark

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.head = torch.nn.Linear(64, 3)
        self.act, self.bound = torch.neg, functools.partial(math.pow, 2)
        self.words, self.scale = {"a", "b", "c"}, torch.ones(3)
        self.register_buffer("shift", torch.zeros(3), persistent=False)
        self.head.register_forward_hook(lambda module, inputs, output: output)

    def forward(self, images):
        return self.act(self.head(images.flatten(1))) * self.scale

wanted = request([small_benchmark()], ["odin", "ml", Thing()])
for cell in make_plan(wanted, prepare(wanted).data).cells:
    print(cell.key, *cell.network_keys)
print(GivenModel.of(Net(), normalise="none").digest)
"""


def test_keys_are_the_same_in_every_process(tmp_path, monkeypatch, capsys):
    """This one, whose words have hashes drawn at random, and another with hashes that are chosen."""
    # Of a program that is read from a pipe.
    main = ModuleType("__main__")
    with monkeypatch.context() as here:
        here.setitem(sys.modules, "__main__", main)
        exec(compile(METHOD + PROCESS, "<stdin>", "exec", dont_inherit=True), vars(main))
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    folders = {"PYTHONPATH": str(Path(__file__).parents[1]), "OODBENCH_CACHE": str(tmp_path)}
    other = subprocess.run(
        [sys.executable, "-"], input=METHOD + PROCESS, env={**os.environ, **folders, "PYTHONHASHSEED": seed},
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip

    assert len(other) == 7
    assert other == capsys.readouterr().out.split()
