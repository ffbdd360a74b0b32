"""Sets that fit no memory: decoded when they are asked for, as often as needed, and the results are the same."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest

import oodbench
from oodbench import files, image_rows
from oodbench.benchmark import Part
from oodbench.data import source_images
from oodbench.data.parts import find_part, load_part
from oodbench.decoded import DecodedImages
from oodbench.errors import DataError
from oodbench.files import Pictures
from oodbench.image_rows import ChosenImages, JoinedImages
from oodbench.images import Conversion, RawImages, convert, digests_of
from oodbench.store import unfinished
from oodbench.store.records import ResultStore
from oodbench.store.workspace import Workspace

from .helpers import Listener, save_photos
from .networks_of_ones_own import brightness_classifier

CLASSES = ("cat", "cow", "dog")
EIGHT = Conversion(size=(8, 8), channels=3)


@pytest.fixture
def photos(tmp_path):
    """A folder with train/ and test/ of three classes, 72 images each."""
    save_photos(tmp_path / "photos" / "train", CLASSES)
    save_photos(tmp_path / "photos" / "test", CLASSES, seed=1)
    return tmp_path / "photos"


@pytest.fixture
def cars(tmp_path):
    """48 images of something else."""
    return save_photos(tmp_path / "cars", ("bus", "van"), seed=2)


@pytest.fixture
def decoded(monkeypatch):
    """How often each file was decoded."""
    counts = Counter()
    decode = files.decode

    def counting(content, where):
        counts[where] += 1
        return decode(content, where)

    monkeypatch.setattr(files, "decode", counting)
    return counts


def rows(photos):
    pictures = Pictures(sorted(photos.rglob("*.png")))
    return DecodedImages(pictures, EIGHT, "photos"), convert(RawImages(images=pictures), EIGHT, "photos")


def test_rows_in_any_order_are_those_of_the_array(photos):
    some, whole = rows(photos)
    for index in (3, -1, slice(5, 30), slice(None, None, 7), np.array([4, 4, 0, -2]), [1, 2], whole[:, 0, 0, 0] > 40):
        np.testing.assert_array_equal(some[index], whole[index])
    np.testing.assert_array_equal(np.stack(list(some)), whole)
    np.testing.assert_array_equal(some.learned, digests_of(whole))
    assert some.seen.all()
    with pytest.raises(IndexError):
        some[np.array([144])]


def test_whoever_reads_on_finds_the_next_images_made_ready_and_no_more_than_a_window(photos, monkeypatch, decoded):
    monkeypatch.setattr(image_rows, "READ_AHEAD", 16 * 3 * 8 * 8)
    some, whole = rows(photos)
    decoded.clear()
    assert some.window == 16
    some[:10]
    assert len(some._waiting) == 0
    some[10:20]
    assert sorted(some._waiting) == list(range(20, 36))
    np.testing.assert_array_equal(some[20:30], whole[20:30])
    assert max(decoded.values()) == 1
    # Whoever goes elsewhere does not come back.
    some[100]
    assert len(some._waiting) == 0


def test_chosen_and_joined_rows_hand_on_what_comes_next(photos, monkeypatch):
    monkeypatch.setattr(image_rows, "READ_AHEAD", 16 * 3 * 8 * 8)
    some, whole = rows(photos)
    order = np.random.default_rng(0).permutation(144)
    chosen = ChosenImages(some, order)
    chosen[:5]
    np.testing.assert_array_equal(chosen[5:9], whole[order[5:9]])
    assert set(some._waiting) == set(order[9:25].tolist())
    joined = JoinedImages(whole[:3], chosen)
    np.testing.assert_array_equal(
        joined[np.array([146, 0, 2, 3])], np.stack([whole[order[143]], *whole[[0, 2, order[0]]]])
    )


def test_a_zip_is_decoded_by_index_as_from_end_to_end(photos, tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for file in sorted(photos.rglob("*.png")):
            archive.write(file, file.relative_to(photos))
    pictures = Pictures(list(files.in_zip(tmp_path / "all.zip").images.values()))
    some = DecodedImages(pictures, EIGHT, "all")
    np.testing.assert_array_equal(some[:], rows(photos)[1])


def workspace(tmp_path, name="cache", **options):
    return Workspace.of(tmp_path, tmp_path / name, Listener(), **options)


def test_a_set_that_is_not_kept_has_the_fingerprint_of_one_that_is(photos, tmp_path):
    part = Part(dataset=str(photos), split="train")
    kept, not_kept = workspace(tmp_path), workspace(tmp_path, "none", pixel_cache="0")
    ours, theirs = (load_part(part, EIGHT, where) for where in (not_kept, kept))
    assert ours.fingerprint == theirs.fingerprint
    assert [kept.pixels.taken, not_kept.pixels.taken] == [theirs.images.nbytes, 0]
    assert len(list((tmp_path / "cache").rglob("images.npy"))) == 1
    assert not list((tmp_path / "none").rglob("images.npy"))
    np.testing.assert_array_equal(np.asarray(ours.images), np.asarray(theirs.images))


def test_what_is_known_of_a_set_that_is_not_kept_is_kept(photos, tmp_path, decoded):
    part = Part(dataset=str(photos), split="train")
    first = load_part(part, EIGHT, workspace(tmp_path, pixel_cache="0"))
    decoded.clear()
    again = load_part(part, EIGHT, workspace(tmp_path, pixel_cache="0"))
    assert again.fingerprint == first.fingerprint
    assert again.labels.tolist() == first.labels.tolist()
    assert not decoded


def test_pixels_that_are_used_once_are_not_kept_and_those_used_twice_are(photos, tmp_path, decoded):
    part = Part(dataset=str(photos), split="train")
    found = find_part(part, EIGHT, workspace(tmp_path), again=False)
    first = np.asarray(found.images[:])
    assert not list(tmp_path.rglob("images.npy"))
    # Half of them in one order, and then all in another.
    found.images[np.arange(0, 72, 2)]
    np.testing.assert_array_equal(found.images[np.arange(71, -1, -1)], first[::-1])
    np.testing.assert_array_equal(np.load(next((tmp_path / "cache").rglob("images.npy"))), first)
    assert set(decoded.values()) == {2}
    np.testing.assert_array_equal(found.images[:], first)
    assert set(decoded.values()) == {2}
    assert not list((tmp_path / "cache" / "checkpoints").iterdir())


def test_sets_take_the_room_for_pixels_in_turn(photos, cars, tmp_path):
    room = 72 * 3 * 8 * 8 + 10
    where = workspace(tmp_path, pixel_cache=room)
    for path, split in ((photos, "train"), (photos, "test"), (cars, "test")):
        load_part(Part(dataset=str(path), split=split), EIGHT, where)
    assert [json.loads(file.read_text())["facts"]["shape"] for file in (tmp_path / "cache/images").rglob("*.json")] == [
        [72, 3, 8, 8]
    ]
    assert where.pixels.taken == 72 * 3 * 8 * 8


def test_parts_of_one_set_share_its_decoding(photos, tmp_path, decoded):
    where = workspace(tmp_path, pixel_cache="0")
    cats, others = (
        load_part(Part(dataset=str(photos), split="train", classes=classes), EIGHT, where)
        for classes in (("cat",), ("dog", "cow"))
    )
    assert (len(cats), len(others)) == (24, 48)
    assert set(decoded.values()) == {1}


def run(where, method="msp", **options):
    options = {"report": Listener(), **options}
    return oodbench.run(
        str(where["photos"]), method, out=[f"gaussian={where['cars']}"], image_size=8, data_dir=where["place"],
        settings={"recipe": {"epochs": 2}}, **options,
    )  # fmt: skip


@pytest.fixture
def place(photos, cars, tmp_path):
    return {"photos": photos, "cars": cars, "place": tmp_path}


@pytest.mark.parametrize("resident", [True, False])
def test_networks_are_the_same_wherever_their_images_are(place, tmp_path, monkeypatch, resident):
    if not resident:
        monkeypatch.setattr("oodbench.training.pixels.RESIDENT_SHARE", 0.0)
    for name, room in (("kept", "1GB"), ("decoded", "0")):
        run(place, pixel_cache=room, cache_dir=tmp_path / name, results_dir=tmp_path / f"{name} results")
    kept, streamed = (ResultStore(tmp_path / f"{name} results").all() for name in ("kept", "decoded"))
    assert [record.key for record in kept] == [record.key for record in streamed]
    assert [record.fingerprints for record in kept] == [record.fingerprints for record in streamed]
    assert [record.rows for record in kept] == [record.rows for record in streamed]


def evaluate(place, tmp_path, cache="cache", methods="msp", **options):
    options = {"report": Listener(), **options}
    return oodbench.evaluate(
        brightness_classifier(), place["photos"] / "test", {"cars": place["cars"]}, methods=methods, image_size=8,
        normalise="none", cache_dir=tmp_path / cache, results_dir=tmp_path / f"results of {cache}", **options,
    )  # fmt: skip


def keys_and_rows(tmp_path, cache):
    return [(record.key, record.rows) for record in ResultStore(tmp_path / f"results of {cache}").all()]


def test_images_that_a_given_model_scores_are_decoded_once_and_not_kept(place, tmp_path, decoded):
    methods = ["msp", "energy", "knn(k=2)", "mahalanobis(layers=penultimate)"]
    evaluate(place, tmp_path, methods=methods, id_train=place["photos"])
    assert len(decoded) == 72 + 72 + 48
    assert set(decoded.values()) == {1}
    assert not list((tmp_path / "cache").rglob("images.npy"))
    assert not list((tmp_path / "cache" / "checkpoints").iterdir())


def test_a_method_that_looks_at_pixels_again_has_them_kept_where_there_is_room(place, tmp_path, decoded):
    evaluate(place, tmp_path, "kept", ["odin(temperature=1000)", "msp"])
    assert max(decoded.values()) == 2
    assert len(list((tmp_path / "kept").rglob("images.npy"))) == 2
    evaluate(place, tmp_path, "decoded", ["odin(temperature=1000)", "msp"], pixel_cache="0")
    assert not list((tmp_path / "decoded").rglob("images.npy"))
    assert keys_and_rows(tmp_path, "kept") == keys_and_rows(tmp_path, "decoded")


def test_a_second_evaluation_decodes_nothing(place, tmp_path, decoded):
    evaluate(place, tmp_path, methods=["msp"])
    decoded.clear()
    evaluate(place, tmp_path, methods=["msp", "energy"])
    assert not decoded


def test_what_cannot_be_is_told_before_anything_is_decoded(place, tmp_path, decoded):
    with pytest.raises(oodbench.OodbenchError, match="knn needs ID training images"):
        evaluate(place, tmp_path, methods=["knn"])
    assert not decoded


def test_images_on_both_sides_are_left_out_in_a_first_look_too(place, tmp_path, decoded):
    twin = place["cars"] / "van" / "twin.png"
    twin.write_bytes((place["photos"] / "test" / "cow" / "03.png").read_bytes())
    (place["cars"] / "van" / "learnt.png").write_bytes((place["photos"] / "train" / "cat" / "07.png").read_bytes())
    heard = Listener()
    frame = evaluate(place, tmp_path, methods=["msp"], id_train=place["photos"], report=heard)
    assert frame["n_ood"].tolist() == [49]
    assert heard.count("1 images of cars (test) are ID test images as well") or any(
        "ID test images as well" in message for message in heard.messages
    )
    assert set(decoded.values()) == {1}
    # The rows of what was left out are taken from the pass, and are those of a pass of their own.
    (place["cars"] / "van" / "learnt.png").unlink()
    evaluate(place, tmp_path, "apart", ["msp"], id_train=place["photos"])
    assert keys_and_rows(tmp_path, "cache")[0][1][0].metrics == keys_and_rows(tmp_path, "apart")[0][1][0].metrics


class Killed(BaseException):
    """Like Ctrl-C, at an image."""


def dies_at(monkeypatch, n):
    decode, count = files.decode, iter(range(10**6))

    def dying(content, where):
        if next(count) == n:
            raise Killed
        return decode(content, where)

    monkeypatch.setattr(files, "decode", dying)


@pytest.fixture
def eager_notes(monkeypatch):
    """Everything is written down at once, and images come in tens."""
    monkeypatch.setattr(source_images, "SECONDS_BETWEEN_NOTES", 0.0)
    monkeypatch.setattr(unfinished, "SECONDS", 0.0)
    monkeypatch.setattr("oodbench.batch.CPU_BATCH_SIZE", 10)
    monkeypatch.setattr(image_rows, "READ_AHEAD", 16 * 3 * 8 * 8)


def test_a_pass_that_is_killed_goes_on_where_it_was(place, tmp_path, monkeypatch, eager_notes):
    with monkeypatch.context() as patch:
        dies_at(patch, 60)
        with pytest.raises(Killed):
            evaluate(place, tmp_path)
    counts, decode = Counter(), files.decode
    monkeypatch.setattr(files, "decode", lambda content, where: (counts.update([where]), decode(content, where))[1])
    heard = Listener()
    evaluate(place, tmp_path, report=heard)
    (told,) = (message for message in heard.messages if "going on after" in message and "forward pass" in message)
    done = int(told.split("going on after ")[1].split(" of ")[0])
    assert done >= 30
    # The first image is seen once more: it says what readings there are.
    assert sum(counts.values()) <= 72 + 48 - done + 1
    evaluate(place, tmp_path, "whole")
    assert keys_and_rows(tmp_path, "cache") == keys_and_rows(tmp_path, "whole")


def test_a_piece_that_is_damaged_is_made_again(place, tmp_path, monkeypatch, eager_notes):
    with monkeypatch.context() as patch:
        dies_at(patch, 60)
        with pytest.raises(Killed):
            evaluate(place, tmp_path)
    (logits,) = (tmp_path / "cache" / "checkpoints").glob("*.pass/logits.npy")
    content = bytearray(logits.read_bytes())
    # In the second piece of ten rows.
    content[-(72 - 15) * 12] ^= 255
    logits.write_bytes(content)
    heard = Listener()
    evaluate(place, tmp_path, report=heard)
    assert heard.count("forward pass on photos (test): going on after 10 of 72 images") or any(
        "going on after 10 of 72" in message for message in heard.messages
    )
    evaluate(place, tmp_path, "whole")
    assert keys_and_rows(tmp_path, "cache") == keys_and_rows(tmp_path, "whole")


def test_a_first_look_that_is_killed_goes_on_where_it_was(photos, tmp_path, monkeypatch, eager_notes):
    part = Part(dataset=str(photos), split="train")
    with monkeypatch.context() as patch:
        dies_at(patch, 60)
        with pytest.raises(Killed):
            load_part(part, EIGHT, workspace(tmp_path, pixel_cache="0"))
    counts, decode = Counter(), files.decode
    monkeypatch.setattr(files, "decode", lambda content, where: (counts.update([where]), decode(content, where))[1])
    again = load_part(part, EIGHT, workspace(tmp_path, pixel_cache="0"))
    assert 0 < sum(counts.values()) <= 72 - 40
    assert again.fingerprint == load_part(part, EIGHT, workspace(tmp_path, "whole")).fingerprint


def damage(photos):
    (photos / "test" / "cow" / "05.png").write_bytes(b"\x89PNG no more")
    (photos / "test" / "dog" / "23.png").write_bytes(b"")
    return photos


@pytest.mark.parametrize("room", ["0", "1GB"])
def test_a_damaged_photo_is_named_and_refused(place, tmp_path, room):
    damage(place["photos"])
    with pytest.raises(DataError, match=r"the image .*cow/05\.png cannot be decoded"):
        evaluate(place, tmp_path, pixel_cache=room)
    with pytest.raises(DataError, match=r"the image .*cow/05\.png cannot be decoded"):
        load_part(Part(dataset=str(place["photos"])), EIGHT, workspace(tmp_path, pixel_cache=room))


@pytest.mark.parametrize("room", ["0", "1GB"])
def test_damaged_photos_are_left_out_and_counted_where_that_is_wanted(place, tmp_path, room):
    damage(place["photos"])
    heard = Listener()
    options = {"pixel_cache": room, "skip_damaged": True}
    frame = evaluate(place, tmp_path, report=heard, **options)
    assert frame["n_id"].tolist() == [70]
    assert json.loads(frame["damaged"][0]) == {f"{place['photos'] / 'test'} (test)": 2}
    assert any(message.startswith("leaving out 2 of") and "05.png" in message for message in heard.messages)
    # Again, now that it is known.
    evaluate(place, tmp_path, "cache", ["msp", "energy"], **options)
    with pytest.raises(DataError, match=r"05\.png cannot be decoded"):
        evaluate(place, tmp_path)
    for name in ("cow/05.png", "dog/23.png"):
        (place["photos"] / "test" / name).unlink()
    evaluate(place, tmp_path, "without", ["msp", "energy"])
    assert keys_and_rows(tmp_path, "cache") == keys_and_rows(tmp_path, "without")


def test_a_set_of_nothing_but_damaged_photos_is_refused(tmp_path):
    place = tmp_path / "broken" / "test"
    place.mkdir(parents=True)
    for i in range(3):
        (place / f"{i}.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"no image of .* can be decoded|0\.png cannot be decoded"):
        load_part(Part(dataset=str(tmp_path / "broken")), EIGHT, workspace(tmp_path, skip_damaged=True))


def test_a_network_is_trained_without_damaged_photos(place, tmp_path):
    (place["photos"] / "train" / "cat" / "00.png").write_bytes(b"no image")
    with pytest.raises(oodbench.OodbenchError, match=r"cat/00\.png cannot be decoded"):
        run(place)
    frame = run(place, skip_damaged=True)
    assert json.loads(frame["damaged"][0]) == {f"{place['photos']} (train)": 1}


def test_mixed_in_images_are_decoded_when_they_are_asked_for(place, tmp_path):
    frames = [
        run(
            place, contaminate=f"0.1:{place['cars']}", pixel_cache=room, results_dir=tmp_path / room,
            cache_dir=tmp_path / f"cache {room}",
        )
        for room in ("0", "1GB")
    ]  # fmt: skip
    assert frames[0]["key"].tolist() == frames[1]["key"].tolist()
    assert frames[0]["auroc"].tolist() == frames[1]["auroc"].tolist()
