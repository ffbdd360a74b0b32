"""Splits of classes: whole groups, a seed, and what a user may write down."""

from __future__ import annotations

import pytest

from oodbench.errors import ConfigError, DataError
from oodbench.splits import SplitRule, class_counts, parse_split, read_split

SIGNS = {
    "pl40": 50,
    "pl60": 20,
    "pl5": 3,
    "stop": 30,
    "yield": 30,
    "left": 12,
    "right": 10,
    "bikes": 40,
    "crossing": 11,
    "school": 9,
    "io": 500,
}
GROUPS = {"speed limit": ("pl*",), "arrow": ("left", "right")}


def rule(**changes):
    return SplitRule(**{"dataset": "signs", "groups": GROUPS, "drop": ("io",), **changes})


def test_every_class_is_in_one_part_or_dropped_with_a_reason():
    split = rule().draw(SIGNS)

    parts = [*split.id, *split.seen, *split.unseen, *split.dropped]
    assert sorted(parts) == sorted(SIGNS)
    assert split.dropped == {"io": "left out", "pl5": "3 images", "school": "9 images"}


def test_shares_count_groups_and_groups_stay_together():
    for seed in range(20):
        split = rule(seed=seed).draw(SIGNS)
        home = {name: share for share in ("id", "seen", "unseen") for name in split.part(share)}

        assert home["pl40"] == home["pl60"]
        assert home["left"] == home["right"]
        # Six groups: speed limit, arrow, stop, yield, bikes, crossing.
        together = {"pl60", "right"}
        sizes = [
            len([name for name in split.part(share) if name not in together]) for share in ("id", "seen", "unseen")
        ]
        assert sizes == [3, 1, 2]


def test_the_same_seed_divides_alike_and_others_differ():
    assert rule(seed=3).draw(SIGNS) == rule(seed=3).draw(SIGNS)
    assert len({rule(seed=seed).draw(SIGNS).id for seed in range(10)}) > 3


def test_classes_keep_the_order_of_the_data_set():
    split = rule(seed=1).draw(SIGNS)
    for share in ("id", "seen", "unseen"):
        names = [name for name in SIGNS if name in split.part(share)]
        assert sorted(split.part(share)) == sorted(names)


def test_a_share_of_nothing_leaves_its_part_empty():
    split = rule(shares=(70, 0, 30)).draw(SIGNS)
    assert split.seen == ()
    assert split.unseen


def test_lists_of_classes_patterns_and_groups_are_taken_as_given():
    given = {"id": ("speed limit", "stop"), "seen": ("yield",), "unseen": ("b*", "right")}
    split = rule(given=given).draw(SIGNS)

    assert (split.id, split.seen, split.unseen) == (("pl40", "pl60", "stop"), ("yield",), ("right", "bikes"))
    assert split.dropped["left"] == "in none of the lists"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shares": (0, 50, 50)}, "three shares, such as 50/20/30, and the first is not 0: 0/50/50"),
        ({"given": {"id": ("stop",)}}, "needs the lists 'id' and 'unseen'"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        rule(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"min_images": 45}, "has 0 ID and 0 unseen classes of 11; it needs at least 2 and 1"),
        ({"groups": {"a": ("p*",), "b": ("pl*",)}}, "the class pl40 belongs to the groups 'a' and 'b'; keep one"),
        ({"given": {"id": ("stop", "yeild"), "unseen": ("bikes",)}}, "the class 'yeild', which signs does not have"),
        ({"given": {"id": ("stop", "left"), "unseen": ("s*",)}}, "has the class stop in 'id' and in 'unseen'"),
    ],
)
def test_a_split_that_cannot_be_drawn_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        rule(**changes).draw(SIGNS)


def test_shares_are_read_as_they_are_typed():
    assert parse_split("60/10/30", rule(), seed=4) == rule(shares=(60, 10, 30), seed=4)


def test_a_file_changes_what_it_names_and_leaves_the_rest(tmp_path):
    file = tmp_path / "split.toml"
    file.write_text('shares = "40/30/30"\nmin_images = 2\n[groups]\nround = ["stop", "yield"]\n')

    assert parse_split(str(file), rule(), seed=None) == rule(
        shares=(40, 30, 30), min_images=2, groups={"round": ("stop", "yield")}
    )


def test_a_file_may_name_the_classes(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('id = ["stop", "pl*"]\nunseen = ["bikes"]\n')

    split = read_split(file, rule()).draw(SIGNS)

    assert (split.id, split.seen, split.unseen) == (("pl40", "pl60", "stop"), (), ("bikes",))
    with pytest.raises(ConfigError, match="a split seed changes nothing"):
        parse_split(str(file), rule(), seed=1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id = [", "is not a TOML file that can be read"),
        ("ids = ['stop']", "'ids' is no part of a split; it may hold: drop, groups, id, min_images, seed"),
        ("id = 'stop'", "'stop' is no list of names"),
        ("shares = '50/50'", "three shares, such as 50/20/30, got '50/50'"),
        ("min_images = 'many'", "must be a whole number"),
    ],
)
def test_a_file_that_is_no_split_is_refused(content, message, tmp_path):
    file = tmp_path / "split.toml"
    file.write_text(content)
    with pytest.raises(ConfigError, match=message):
        read_split(file, rule())


def test_a_missing_file_and_a_wrong_word_are_told_apart_from_shares():
    with pytest.raises(ConfigError, match="there is no such file; give shares such as 50/20/30"):
        parse_split("half", rule())
    with pytest.raises(ConfigError, match="three shares, such as 50/20/30, got '50/50'"):
        parse_split("50/50", rule())


def test_the_split_in_words_names_each_group_once():
    lines = rule(given={"id": ("stop", "pl*"), "unseen": ("left", "right")}).draw(SIGNS).lines()

    assert lines[0] == "split of signs (as given)"
    assert lines[1] == "  3 classes in-distribution: speed limit (pl40 pl60), stop"
    assert lines[2] == "  2 classes unseen OOD: arrow (left right)"
    assert "io (left out)" in lines[3]


def test_images_without_labels_cannot_be_split():
    with pytest.raises(DataError, match="has no labels, so its classes cannot be split"):
        class_counts(None, (), "photos")
    assert class_counts([0, 2, 2], ("a", "b", "c"), "photos") == {"a": 1, "b": 0, "c": 2}
