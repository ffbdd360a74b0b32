"""What recipes promise: the published one is as published, and none suits one machine only."""

from __future__ import annotations

import pytest

from oodbench.plugins import registry

TRAINED = ("svhn", "cifar10", "tsinghua")

# Official training images, and what the public code of both papers makes of them: 100 epochs of the last, smaller batch
# included, and 3000 epochs of whole batches for 512 images.
PUBLISHED = {
    "svhn": (128, 57_300, (34_380,), 429_000, (21_593, 321_893), 1.0),
    "cifar10": (64, 78_200, (46_920,), 291_000, (14_647, 218_347), 0.1),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_recipe_paper_has_the_steps_and_settings_of_the_public_code(name):
    batch, steps, drops, embedding_steps, embedding_drops, beta = PUBLISHED[name]
    benchmark = registry.benchmark(name)
    recipe = benchmark.recipes["paper"]

    for objective in ("ce", "ccag"):
        config = recipe.config(objective)
        assert (config.batch_size, config.steps, config.milestones) == (batch, steps, drops)
        assert (config.optimizer, config.learning_rate, config.gamma) == ("adam", 2e-4, 0.1)
        assert (config.network, config.weight_decay, config.augment) == ("vgg13_ccag", 0.0, ())
    config = recipe.config("contrastive")
    assert (config.batch_size, config.steps, config.milestones) == (1024, embedding_steps, embedding_drops)
    assert (config.optimizer, config.learning_rate, config.weight_decay) == ("adam", 1e-4, 1e-4)
    assert (config.network or benchmark.network, config.augment) == ("vgg13", ())
    assert recipe.methods["ml"] == recipe.methods["odm"] == {"squared": False}
    assert recipe.methods["ccag"] == {"beta": beta}


@pytest.mark.parametrize("name", registry.names("benchmarks"))
def test_recipes_but_the_published_one_take_the_precision_that_the_machine_is_made_for(name):
    for recipe_name, recipe in registry.benchmark(name).recipes.items():
        configs = [recipe.default, *recipe.objectives.values()]
        assert recipe_name == "paper" or {config.precision for config in configs} == {"auto"}


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("recipe", ["fast", "cpu", "quick"])
def test_embeddings_of_short_recipes_start_from_the_classifier_of_the_same_network(name, recipe):
    found = registry.benchmark(name).recipes[recipe]

    assert found.methods["ml"]["start"] == found.methods["odm"]["start"] == "ce"
    assert found.config("contrastive").network == found.config("ce").network
    assert found.config("contrastive").total_steps(1) < found.config("ce").total_steps(1)


def test_confident_classifier_of_cifar10_on_a_processor_starts_from_the_classifier_at_a_fifth_of_its_rate():
    found = registry.benchmark("cifar10").recipes["cpu"]
    classifier, ccag = found.config("ce"), found.config("ccag")

    assert found.methods["ccag"]["start"] == "ce"
    assert ccag.learning_rate == pytest.approx(classifier.learning_rate / 5)
    assert (ccag.network, ccag.total_steps(1) < classifier.total_steps(1)) == (classifier.network, True)


@pytest.mark.parametrize("name", ["svhn", "tsinghua"])
def test_digits_and_signs_are_never_flipped(name):
    for recipe in registry.benchmark(name).recipes.values():
        for config in (recipe.default, *recipe.objectives.values()):
            assert not {"flip", "rotate90"} & set(config.augment)


@pytest.mark.parametrize("other", ["cifar10-far-near", "survey-cifar10"])
def test_benchmarks_of_cifar10_share_the_classifier_that_a_processor_trains(other):
    one, same = registry.benchmark("cifar10"), registry.benchmark(other)

    assert same.recipes["cpu"].config("ce") == one.recipes["cpu"].config("ce")
    assert (same.id_train, same.conversion, same.validation_share) == (
        one.id_train,
        one.conversion,
        one.validation_share,
    )
