"""The benchmarks of "Skip the question you don't know": the sets that its tables name, and digits that are left out."""

from oodbench.engine.request import request
from oodbench.plugins import registry
from oodbench.tables.published import PUBLISHED


def published(in_dist: str) -> set[str]:
    """Return the OOD sets with published numbers, under our names."""
    return {out_dist for there, _, out_dist in PUBLISHED["skip1"]._rows if there == in_dist}


def test_both_benchmarks_have_the_sets_of_table_one() -> None:
    for name in ("skip-mnist", "skip-cifar10"):
        assert {entry.name for entry in registry.benchmark(name).ood} == published(name)


def test_every_member_has_published_numbers_of_its_left_out_digits() -> None:
    members = registry.suite("skip-mnist-digits").members
    for member in members:
        assert {entry.name for entry in member.ood} == published(member.name) == {"left-out digits"}
    assert len(members) == 5


def test_left_out_digits_are_tested_on_and_never_trained_on() -> None:
    members = {member.name: member for member in registry.suite("skip-mnist-digits").members}
    member = members["skip-mnist-digits-45"]
    assert member.id_train.classes == member.id_test.classes == ("0", "1", "2", "3", "6", "7", "8", "9")
    assert [entry.part.classes for entry in member.ood] == [("4", "5")]
    assert sorted(digit for each in members.values() for digit in each.ood[0].part.classes or ()) == list("0123456789")


def test_a_set_that_is_missing_can_be_replaced_by_name() -> None:
    (benchmark,) = request(["skip-cifar10"], ["msp"], out=["sun=scenes"]).benchmarks
    assert [entry.name for entry in benchmark.ood] == ["scenes (for sun)", "gaussian"]


def test_skip_alone_is_trained_with_plain_sgd_as_published() -> None:
    recipe = registry.benchmark("skip-mnist").recipes["sgd"]
    skip, autoencoder = recipe.config("skip"), recipe.config("autoencoder")
    assert (skip.optimizer, skip.learning_rate, skip.momentum, skip.schedule) == ("sgd", 0.01, 0.0, "constant")
    assert autoencoder.optimizer == "adam"
