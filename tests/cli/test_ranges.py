"""Each setting has a range, and each contradiction a sentence; names reach a shell as they are."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from oodbench.engine.request import request
from oodbench.errors import ConfigError
from oodbench.splits import SplitRule, parse_split
from tests.helpers import save_photos, small_benchmark


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("run --seeds 99999999999999999999", "--seeds must be at most 1,000"),
        ("run --seeds 300000000", "--seeds must be at most 1,000"),
        ("run --method ensemble --set ensemble.members=1000000000", "ensemble.members must be from 1 to 1,000"),
        ("run --in ./x --image-size 100000", "--image-size must be from 4 to 4,096 pixels a side, got '100000'"),
        ("run --in ./x --image-size 99999999999999", "--image-size must be from 4 to 4,096 pixels a side"),
        ("run --in ./x --image-size 1", "--image-size must be from 4 to 4,096 pixels a side"),
        (
            "run --in ./x --split 50/20/30 --split-seed -1",
            "the seed of a split must be a whole number from 0 up, got -1",
        ),
        ("run --in ./x --split 50/50/50", "the shares of a split must add up to 100, got '50/50/50'"),
        ("run --in ./x --split nan/50/50", "--split nan/50/50: there is no such file"),
        ("run --method msp --method all", "all methods are asked for, and msp is one of them"),
        ("run --in digits --out digits", "digits holds the in-distribution images of digits"),
        ("run --results-dir=", "--results-dir is empty; give a value, or leave it out"),
        ("data nosuch", "nothing is there for 'nosuch': looked for "),
        ("data ./x.zip", "no test images of "),
        ("check /", "/ has no name that results could be kept under"),
        ("check ./x", "there are no images in "),
        (f"new method {'a' * 300}", "the name has 300 letters; choose one of at most 60"),
    ],
)
def test_what_cannot_be_is_one_sentence(oodbench, arguments, sentence):
    done = oodbench(*arguments.split())

    assert done.code == 2
    assert done.err.splitlines()[-1].startswith(f"Error: {sentence}")
    assert "Traceback" not in done.err


@pytest.mark.parametrize("arguments", [("table", "--layout", ""), ("run", "--results-dir", ""), ("list", "")])
def test_an_empty_argument_is_not_taken_for_none(oodbench, arguments):
    done = oodbench(*arguments)

    assert done.code == 2
    assert done.err.splitlines()[-1].endswith("is empty; give a value, or leave it out")


class Model:
    """Stands for a trained classifier: a request only asks whether there is one."""


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"recipe": "short"}, "leave --recipe short out"),
        ({"settings": ["recipe.epochs=2"]}, "leave --set recipe.epochs"),
    ],
)
def test_words_on_the_training_of_a_given_model_are_a_contradiction(words, sentence):
    with pytest.raises(ConfigError, match=f"a trained model is given, so nothing is trained: {sentence}"):
        request([small_benchmark()], ["msp"], model=Model(), **words)


@pytest.mark.parametrize("seeds", [True, 1.0, "3"])
def test_a_number_of_seeds_is_a_whole_number(seeds):
    with pytest.raises(ConfigError, match="seeds must be a number"):
        request([small_benchmark()], ["msp"], seeds=seeds)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("seed = inf", "seed of a split must be a whole number"),
        ("seed = 1.5", "seed of a split must be a whole number"),
        ("seed = true", "seed of a split must be a whole number"),
        ("min_images = 2.5", "min_images of a split must be a whole number"),
        ('min_images = "3"', "min_images of a split must be a whole number"),
        ("shares = 3", "shares must be a text"),
        ("shares = [50, 20, 30]", "shares must be a text"),
        ('shares = "50/20"', "three shares"),
        ('shares = "1e400/1/1"', "must add up to 100"),
    ],
)
def test_a_split_file_holds_what_it_must(text, sentence):
    Path("split.toml").write_text(text)
    with pytest.raises(ConfigError, match=sentence):
        parse_split("split.toml", SplitRule(dataset="x"))


def test_shares_add_up_to_one_as_well():
    assert parse_split("0.5/0.2/0.3", SplitRule(dataset="x")).shares == (0.5, 0.2, 0.3)


def test_a_path_with_an_equals_sign_is_a_set(tmp_path):
    save_photos(tmp_path / "a=b", ("cat",))
    wanted = request([small_benchmark()], ["msp"], out=["./a=b", "noise=./a=b"])
    names = [ood.name for ood in wanted.benchmarks[0].ood]
    assert names == ["seen digits", "new digits", "a=b (for noise)", "a=b"]


def test_next_is_a_command_that_a_shell_understands(oodbench, tmp_path):
    save_photos(tmp_path / "my photos", ("ant", "bee"))
    done = oodbench(
        *("run", "--in", "./my photos", "--method", "msp", "--image-size", "8"),
        *("--set", "recipe.epochs=1", "--set", "recipe.batch_size=16", "--results-dir", "my results"),
    )
    assert done.code == 0, done.err
    following = done.err.partition("Next: ")[2].partition("   or:")[0]
    assert shlex.split(following) == ["oodbench", "plot", "--in", "my photos", "--results-dir", "my results"]
