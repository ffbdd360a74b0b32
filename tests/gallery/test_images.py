"""The gallery of odd images: folders, ZIPs, lists and arrays as users have them, and what must happen to each.

A new report costs a line in one of the tables. Every entry is given to `run`, `evaluate`, `detect` and `data`.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, features

from oodbench.errors import OodbenchError

from .exhibit import Exhibit, words
from .pieces import (
    below,
    classes,
    deep,
    deep_rgb,
    encoded,
    grey,
    huge_member,
    linked,
    picture,
    pixels,
    png,
    pngs,
    twelve_bit_tiff,
    with_pipe,
    with_socket,
    write,
    zipped,
)

PETS = {"cat": 4, "dog": 4}
TURNED = Image.Exif()
TURNED[0x0112] = 6


def folder(files):
    return lambda place: write(place / "photos", files)


def archive(files, name="photos.zip"):
    return lambda place: zipped(place / name, files)


def split(train, test, **others):
    """Return a folder of two parts, and of more."""
    parts = {train: classes("cat", "dog"), test: classes("cat", "dog", each=2), **others}
    return folder({name: content for part, files in parts.items() for name, content in below(part, files).items()})


FOLDERS = [
    Exhibit(name="folder", build=folder(classes("cat", "dog")), test=PETS),
    Exhibit(name="flat folder", build=folder(pngs("a.png", "b.png")), test=2),
    Exhibit(
        name="hidden and resource files",
        build=folder(
            {
                **classes("cat", "dog"),
                **pngs(".ipynb_checkpoints/a.png", "@eaDir/b.png", "cat/.c.png", ".d.png", "__pycache__/.x"),
                **dict.fromkeys(("cat/._0.png", ".DS_Store", "dog/Thumbs.db", "desktop.ini"), b"\0\5\x16\7"),
            }
        ),
        test=PETS,
    ),
    *(
        Exhibit(name=f"{train} and {test}", build=split(train, test), train=PETS, test={"cat": 2, "dog": 2})
        for train, test in [
            ("train", "test"),
            ("Train", "Test"),
            ("training_set", "test_set"),
            ("TRAINING", "Validation"),
            ("train", "val"),
            ("train2017", "val2017"),
            ("Train Data", "test-images"),
        ]
    ),
    Exhibit(
        name="train, valid and test",
        build=split("train", "test", valid=classes("cat", "dog", each=1)),
        train=PETS,
        test={"cat": 2, "dog": 2},
        detected=14,
        said="valid/ is not read: neither training nor test images",
    ),
    Exhibit(
        name="train and test below another folder",
        build=lambda place: write(place / "photos", below("photos/Test", classes("cat", "dog"))),
        test=PETS,
    ),
    Exhibit(
        name="two folders that may be the training images",
        build=split("Train", "test", training_set=classes("cat")),
        said="holds Train/ and training_set/, and both may be the train images; keep one of them",
        detected=16,
    ),
    Exhibit(
        name="a class that is called train",
        build=folder(classes("bus", "car", "train")),
        said="holds train/ beside bus, car: rename it if it is a class, or move the others away if it is a part",
        detected=12,
    ),
    Exhibit(
        name="images beside classes",
        build=folder({**classes("cat", "dog"), "a.png": png(99)}),
        said="holds images beside class folders; move them into a class, or all out of them",
        detected=9,
    ),
    Exhibit(
        name="a folder of code with a picture",
        build=folder({**pngs("docs/a.png"), **{f"code/{k}.py": b"" for k in range(200)}}),
        said="is no set of images: 1 of its files are images, and 200 are not (.py 200); give the folder that holds",
        detected=1,
    ),
    Exhibit(name="empty folder", build=folder({"cat/readme.txt": b"none"}), said="no images in", detected=0),
    Exhibit(
        name="link to the parent",
        build=lambda place: linked(write(place / "photos", classes("cat", "dog")), up="..", here="."),
        test=PETS,
        said="2 links to folders that are read already",
    ),
    Exhibit(
        name="links in circles",
        build=lambda place: (
            linked(write(place / "photos", classes("cat", "dog")) / "cat", a="../dog", b="../cat").parent
        ),
        test=PETS,
        said="passing over 2 links to folders that are read already",
    ),
    Exhibit(
        name="a class that is a link",
        build=lambda place: linked(
            write(place / "photos", classes("cat")), dog=str(write(place / "far", classes("dog")))
        ),
        test=PETS,
    ),
    Exhibit(
        name="a link to nothing",
        build=lambda place: (
            linked(write(place / "photos", classes("cat", "dog")) / "cat", **{"x.png": "nowhere"}).parent
        ),
        said="cat/x.png cannot be read (No such file or directory); replace or remove it",
        detected=0,
    ),
    Exhibit(
        name="whole numbers",
        build=folder(classes(*map(str, range(12)), each=1)),
        test={str(k): 1 for k in range(12)},
    ),
    Exhibit(
        name="many classes",
        build=folder(classes(*(f"c{k:02}" for k in range(30)), each=1)),
        test=30,
        said="30 images in 30 classes: c00 1, c01 1",
    ),
    Exhibit(
        name="usual formats",
        build=folder({f"{kind}/a.{kind}": encoded(picture(k), kind) for k, kind in enumerate(("bmp", "png", "webp"))}),
        test={"bmp": 1, "png": 1, "webp": 1},
    ),
    Exhibit(
        name="formats that Pillow opens",
        build=folder(
            {
                **classes("cat"),
                "dog/a.jfif": encoded(picture(20), "jpeg"),
                "dog/b.JP2": encoded(picture(21), "jpeg2000"),
                "dog/c.avif": encoded(picture(22), "avif" if features.check("avif") else "png"),
                "dog/d.tga": encoded(picture(23), "tga"),
            }
        ),
        test=PETS,
    ),
    Exhibit(
        name="files that nobody opens",
        build=folder(
            {**classes("cat", "dog"), "cat/a.heic": b"x", "dog/b.txt": b"x", "dog/c.txt": b"x", "dog/d": b"x"}
        ),
        test=PETS,
        said="passing over 4 files of no known image format (.txt 2, .heic 1, no suffix 1)",
        warned="passing over 4 files",
    ),
    Exhibit(
        name="a class of files that nobody opens",
        build=folder({**classes("cat", "dog"), "elk/a.cr2": b"x", "elk/b.cr2": b"x"}),
        said="the images of the class elk in",
        detected=8,
    ),
    Exhibit(
        name="16 bits",
        build=folder({f"{c}/a.png": deep(grey(k, 65535)) for k, c in enumerate(("cat", "dog"))}),
        test={"cat": 1, "dog": 1},
    ),
    Exhibit(
        name="16 bits that are 8",
        build=folder({f"{k}.png": deep(grey(k, 255)) for k in range(3)}),
        said="use the lowest 8 only: in the range of 16 bits they are nearly black",
        detected=0,
    ),
    Exhibit(
        name="16 bits that are 12",
        build=folder({f"{k}.tiff": deep(grey(k, 4095), "tiff") for k in range(3)}),
        said="use the lowest 12 only",
        detected=0,
    ),
    Exhibit(name="12 bits, and a file that says so", build=folder({"a.tif": twelve_bit_tiff(0)}), test=1),
    Exhibit(name="16 bits in three channels", build=folder({f"{k}.png": deep_rgb(k, 65535) for k in range(2)}), test=2),
    Exhibit(
        name="12 bits in three channels of 16",
        build=folder({f"{k}.png": deep_rgb(k, 4095) for k in range(2)}),
        said="use the lowest 12 only",
        detected=0,
    ),
    Exhibit(
        name="32 bits",
        build=folder({"a.tiff": deep(grey(0, 255, np.int32), "tiff")}),
        said="cannot be converted (its pixels are whole numbers of 32 bits); save it as 8-bit grey or RGB",
        detected=0,
    ),
    Exhibit(
        name="floating-point numbers",
        build=folder({"a.tiff": deep(grey(0, 255, np.float32), "tiff")}),
        said="cannot be converted (its pixels are floating-point numbers); save it as 8-bit grey or RGB",
        detected=0,
    ),
    Exhibit(
        name="half an image",
        build=folder({**pngs("a.png"), "b.png": png(5)[:60]}),
        said="b.png cannot be decoded",
        detected=0,
    ),
    Exhibit(name="turned by EXIF", build=folder({"a.jpg": encoded(picture(0), "jpeg", exif=TURNED.tobytes())}), test=1),
    Exhibit(
        name="names that are no UTF-8",
        build=lambda place: write(
            place / os.fsdecode(b"photos\xe9"), {os.fsdecode(b"caf\xe9/\xff.png"): png(1), "dog/a.png": png(2)}
        ),
        test={"caf\\xe9": 1, "dog": 1},
    ),
    Exhibit(
        name="names in parts, as Macs write them",
        build=folder({"cafe\u0301/a.png": png(0), "dog/a.png": png(1)}),
        test={"caf\u00e9": 1, "dog": 1},
    ),
    Exhibit(
        name="a pipe and a socket",
        build=lambda place: with_socket(with_pipe(write(place / "photos", pngs("a.png")), "b.png"), "c.png"),
        test=1,
        said="passing over 2 pipes, sockets or devices",
    ),
    Exhibit(
        name="a device",
        build=lambda place: linked(write(place / "photos", pngs("a.png")), **{"b.png": "/dev/zero"}),
        test=1,
        said="passing over 1 pipes, sockets or devices",
    ),
    Exhibit(
        name="a folder called photos.zip",
        build=lambda place: write(place / "photos.zip", classes("cat", "dog")),
        test=PETS,
    ),
    Exhibit(
        name="an image",
        build=lambda place: write(place, pngs("a.png")) / "a.png",
        said="it is no folder and no ZIP; unpack it, and give the folder",
        detected=1,
    ),
    Exhibit(
        name="a pipe",
        build=lambda place: with_pipe(place, "photos") / "photos",
        said="is no",
        detected=0,
    ),
]

LISTS = (
    [
        Exhibit(
            name=f"list in {name}",
            build=folder(
                {**pngs("x/a.png", "x/b.png", "c.png"), "images.txt": f"x/a.png\n{line}\n\n".encode(encoding)}
            ),
            test=2,
            detected=3,
        )
        for name, encoding, line in [
            ("UTF-8", "utf-8", "c.png"),
            ("UTF-8 with a mark", "utf-8-sig", "c.png"),
            ("UTF-16", "utf-16", "c.png"),
            ("UTF-16 of the other order", "utf-16-be", "c.png"),
            ("Windows' words", "utf-8", "x\\b.png\r"),
        ]
    ]
    + [
        Exhibit(
            name=f"list with labels behind {sign!r}",
            build=folder(
                {
                    **pngs("a b.png", "c.png", "d.png"),
                    "images.txt": f"a b.png{sign}10\nc.png{sign}9\nd.png{sign}9".encode(),
                }
            ),
            test={"9": 2, "10": 1},
        )
        for sign in (" ", "\t", ",", ", ")
    ]
    + [
        Exhibit(
            name="list with words for labels",
            build=folder({**pngs("a.png", "b.png"), "images.txt": b"a.png cat\nb.png dog"}),
            test={"cat": 1, "dog": 1},
        ),
        Exhibit(
            name="list in which a label is missing",
            build=folder({**pngs("a.png", "b.png"), "images.txt": b"a.png 1\nb.png\n"}),
            said="has 1 labels for 2 images; give each image one, or none",
            detected=2,
        ),
        Exhibit(
            name="list with a header",
            build=folder({**pngs("a.png"), "images.txt": b"path,label\na.png,1\n"}),
            said="line 1 of",
            detected=1,
        ),
        Exhibit(
            name="empty list", build=folder({**pngs("a.png"), "images.txt": b"\n"}), said="names no images", detected=1
        ),
    ]
)

ZIPS = [
    Exhibit(name="ZIP of classes", build=archive(classes("cat", "dog")), test=PETS),
    Exhibit(name="ZIP of a folder of classes", build=archive(below("photos", classes("cat", "dog"))), test=PETS),
    Exhibit(name="ZIP of another folder", build=archive(below("pets-main", classes("cat", "dog"))), test=PETS),
    Exhibit(name="flat ZIP", build=archive(pngs("a.png", "b.png")), test=2),
    Exhibit(name="flat ZIP of a folder", build=archive(below("photos", pngs("a.png", "b.png"))), test=2),
    Exhibit(name="ZIP in capitals", build=archive(classes("cat", "dog"), "photos.ZIP"), test=PETS),
    Exhibit(
        name="ZIP of Windows",
        build=archive({name.replace("/", "\\"): content for name, content in classes("cat", "dog").items()}),
        test=PETS,
    ),
    Exhibit(
        name="ZIP of a Mac",
        build=archive(
            {
                **below("photos", classes("cat", "dog")),
                **dict.fromkeys(("__MACOSX/photos/cat/._0.png", "photos/.DS_Store"), b"x"),
            }
        ),
        test=PETS,
    ),
    Exhibit(
        name="ZIP of Train and Test",
        build=archive(
            {
                **below("photos/Train", classes("cat", "dog")),
                **below("photos/Test", classes("cat", "dog", each=1)),
            }
        ),
        train=PETS,
        test={"cat": 1, "dog": 1},
    ),
    Exhibit(name="ZIP with paths that leave it", build=archive(below("../../etc", classes("cat", "dog"))), test=PETS),
    Exhibit(
        name="ZIP with files that nobody opens",
        build=archive({**classes("cat", "dog"), "cat/a.txt": b"x"}),
        test=PETS,
        said="passing over 1 files of no known image format (.txt 1)",
        warned="passing over 1 files",
    ),
    Exhibit(name="empty ZIP", build=archive({}), said="no images in", detected=0),
    Exhibit(
        name="half a ZIP",
        build=lambda place: (
            write(place, {"photos.zip": zipped(place / "a.zip", classes("cat")).read_bytes()[:300]}) / "photos.zip"
        ),
        said="is not a whole ZIP",
        detected=0,
    ),
    Exhibit(
        name="a member that says it has 3 GB",
        build=lambda place: huge_member(place / "photos.zip"),
        said="has 3.0 GB, and an image at most 0.5 GB; replace or remove it",
        detected=0,
    ),
    Exhibit(
        name="a ZIP beside its folder",
        build=lambda place: zipped(write(place, below("photos", classes("old"))) / "photos.zip", classes("cat", "dog")),
        test=PETS,
    ),
]

PATHS = [*FOLDERS, *LISTS, *ZIPS]

STACK = np.stack([pixels(k).transpose(2, 0, 1) for k in range(6)])
PICTURES = [picture(k) for k in range(6)]
LABELS = [0, 0, 0, 1, 1, 1]
NUMBERED = {"0": 3, "1": 3}
NO_BYTES = "images must be uint8 of shape (n, channels, height, width) with 1 or 3 channels, got "

ARRAYS = [
    Exhibit(name="array", build=lambda _: STACK, test=6),
    Exhibit(name="tensor", build=lambda _: torch.tensor(STACK), test=6),
    Exhibit(name="array and labels", build=lambda _: (STACK, LABELS), test=NUMBERED),
    Exhibit(name="tensors", build=lambda _: (torch.tensor(STACK), torch.tensor(LABELS)), test=NUMBERED),
    Exhibit(
        name="labels that are bfloat16 and take gradients",
        build=lambda _: (STACK, torch.tensor(LABELS, dtype=torch.bfloat16, requires_grad=True)),
        test=NUMBERED,
    ),
    Exhibit(name="grey images of one channel", build=lambda _: STACK[:, :1].repeat(3, axis=1), test=6),
    Exhibit(name="pictures", build=lambda _: PICTURES, test=6),
    Exhibit(name="tuple of pictures", build=lambda _: tuple(PICTURES), test=6),
    Exhibit(name="two pictures in a tuple", build=lambda _: tuple(PICTURES[:2]), test=2),
    Exhibit(name="pairs", build=lambda _: list(zip(PICTURES, LABELS, strict=True)), test=NUMBERED),
    Exhibit(
        name="pairs in lists",
        build=lambda _: [list(pair) for pair in zip(PICTURES, LABELS, strict=True)],
        test=NUMBERED,
    ),
    Exhibit(
        name="pairs with tensors as labels",
        build=lambda _: [(each, torch.tensor(label)) for each, label in zip(PICTURES, LABELS, strict=True)],
        test=NUMBERED,
    ),
    Exhibit(
        name="items of three",
        build=lambda _: [(each, label, {"where": "zoo"}) for each, label in zip(PICTURES, LABELS, strict=True)],
        test=NUMBERED,
    ),
    Exhibit(
        name="items of Hugging Face",
        build=lambda _: [{"image": each, "label": label} for each, label in zip(PICTURES, LABELS, strict=True)],
        test=NUMBERED,
    ),
    Exhibit(name="pictures and labels", build=lambda _: (PICTURES, LABELS), test=NUMBERED),
    Exhibit(name="bfloat16", build=lambda _: torch.zeros(2, 3, 8, 8, dtype=torch.bfloat16), said=f"{NO_BYTES}bfloat16"),
    Exhibit(
        name="with gradients", build=lambda _: torch.zeros(2, 3, 8, 8, requires_grad=True), said=f"{NO_BYTES}float32"
    ),
    Exhibit(
        name="meta tensor",
        build=lambda _: torch.zeros(2, 3, 8, 8, dtype=torch.uint8, device="meta"),
        said="its Tensor holds no pixels",
    ),
    Exhibit(
        name="sparse tensor",
        build=lambda _: torch.zeros(2, 3, 8, 8, dtype=torch.uint8).to_sparse(),
        said="its Tensor holds no pixels",
    ),
    Exhibit(
        name="channels last", build=lambda _: STACK.transpose(0, 2, 3, 1), said="put the channels first: .transpose"
    ),
    Exhibit(name="one image", build=lambda _: STACK[0], said="add what is missing: x[None] for one image"),
    Exhibit(name="objects", build=lambda _: np.array([None, "a"], dtype=object), said=f"{NO_BYTES}object (2,)"),
    Exhibit(
        name="transformed items", build=lambda _: [(torch.zeros(3, 8, 8), 0)], said="got Tensor; leave transforms out"
    ),
    Exhibit(name="items that fail", build=lambda _: Failing(), said="item 0 of it failed with KeyError: 'gone'"),
    Exhibit(
        name="generator",
        build=lambda _: (each for each in PICTURES),
        said="or a sequence of PIL images, got a generator",
    ),
    Exhibit(name="16-bit picture", build=lambda _: [Image.fromarray(grey(0, 255))], said="use the lowest 8 only"),
]


class Failing:
    """A data set whose files are gone."""

    def __len__(self):
        return 3

    def __getitem__(self, i):
        raise KeyError("gone")


ids = {"ids": lambda each: each.name}


@pytest.fixture
def place(tmp_path):
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


def one_sentence(text):
    return "Traceback" not in text and "\n" not in text.removeprefix("Error: ").strip()


@pytest.mark.parametrize("exhibit", PATHS, **ids)
def test_run_says_what_it_finds(exhibit, place, oodbench, small):
    arguments = ("run", "--in", small, "--out", exhibit.build(place), "--method", "msp", "--set", "recipe.epochs=1")
    done = oodbench(*arguments, "--dry-run")

    if exhibit.test is None:
        if done.code == 0:
            # What is wrong inside of an image shows once it is decoded, which a plan leaves to the run.
            done = oodbench(*arguments)
            assert not list(Path("results").rglob("*.json"))
        assert done.code == 2
        assert exhibit.said in done.err
        assert one_sentence(done.err.splitlines()[-1])
        return
    assert done.code == 0, done.err
    assert exhibit.said in done.err
    if exhibit.said.partition(":")[0] != "30 images in 30 classes":
        assert f"(test): {words(exhibit.test)}\n" in done.err


@pytest.mark.parametrize("exhibit", PATHS, **ids)
def test_data_says_what_it_finds(exhibit, place, oodbench):
    done = oodbench("data", exhibit.build(place))

    said = done.out + done.err
    if exhibit.test is None:
        # Of what is no folder it says where others would be.
        assert exhibit.said in said or "missing" in said
        assert "Traceback" not in said
        return
    assert done.code == 0
    assert exhibit.said in said
    for counts in filter(None, (exhibit.train, exhibit.test)):
        assert words(counts) in said or "30 classes" in said


@pytest.mark.parametrize("exhibit", PATHS, **ids)
def test_detect_scores_every_image(exhibit, place, detector):
    given = exhibit.build(place)

    if exhibit.n_detected == 0:
        with pytest.raises(OodbenchError) as caught:
            detector.detect(given)
        assert exhibit.said in str(caught.value)
        assert one_sentence(str(caught.value))
        return
    found = detector.detect(given)
    assert len(found) == exhibit.n_detected
    for each in found:
        each.source.encode()


@pytest.mark.parametrize("exhibit", [*PATHS, *ARRAYS], **ids)
def test_evaluate_takes_it_as_an_ood_set(exhibit, place, evaluated):
    given = exhibit.build(place)

    if exhibit.test is None:
        with pytest.raises(OodbenchError) as caught:
            evaluated(ood={"it": given})
        assert exhibit.said in str(caught.value)
        assert one_sentence(str(caught.value))
        return
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        frame = evaluated(ood={"it": given})
    assert frame["n_ood"].tolist() == [exhibit.n_test]
    assert any(exhibit.warned in str(each.message) for each in told) or not exhibit.warned


@pytest.mark.parametrize(
    "exhibit",
    [each for each in (*PATHS, *ARRAYS) if not isinstance(each.test, int | None) and len(each.test) > 1],
    **ids,
)
@pytest.mark.filterwarnings("ignore")
def test_evaluate_takes_labelled_images_as_its_own(exhibit, place, evaluated):
    frame = evaluated(id_test=exhibit.build(place), n_classes=len(exhibit.test))

    assert frame["n_id"].tolist() == [exhibit.n_test]


@pytest.mark.parametrize(
    "labels",
    [[-1] * 6, ["car"] * 6, [{"a": 1}] * 6, [[1, 2], [3], 4, 5, 6, 7], torch.zeros(6, device="meta"), np.eye(6), "car"],
    ids=["-1", "words", "mappings", "boxes", "meta", "one-hot", "a word"],
)
def test_labels_of_ood_sets_may_be_anything(labels, evaluated):
    assert evaluated(ood=(STACK, labels))["n_ood"].tolist() == [6]
    if isinstance(labels, list):
        assert evaluated(ood=list(zip(PICTURES, labels, strict=True)))["n_ood"].tolist() == [6]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([-1, 0, 0, 0, 1, 1], "ID test has labels from -1 to 1, outside of its 2 classes"),
        ([0, 0, 0, 0, 0, 10**12], "ID test: the label 1000000000000 is no class counted from 0"),
        ([0, 0, 0, 0, 0, 10**40], "ID test: labels must be whole numbers"),
        (torch.zeros(6, device="meta"), "ID test: labels must be whole numbers"),
        ([{"a": 1}] * 6, "ID test: labels must be whole numbers"),
        (7, "ID test: labels must be whole numbers"),
        (None, "ID test needs labels"),
    ],
)
def test_labels_of_id_images_must_be_classes(labels, said, evaluated):
    with pytest.raises(OodbenchError, match=said):
        evaluated(id_test=(STACK, labels), n_classes=2)


@pytest.mark.parametrize("name", ["facebook/deit-tiny", "..", ".", "../up", "a\\b", "a\nb", "a\0b"])
def test_a_name_that_no_folder_could_have_is_refused(name, evaluated):
    with pytest.raises(OodbenchError, match="results are kept in a folder of the name") as caught:
        evaluated(name=name)
    assert one_sentence(str(caught.value))


def test_a_rotation_that_exif_asks_for_is_not_carried_out(place, read):
    straight = folder({"a.png": encoded(Image.open(write(place, {"b.jpg": encoded(picture(0), "jpeg")}) / "b.jpg"))})
    turned = folder({"a.jpg": encoded(picture(0), "jpeg", exif=TURNED.tobytes())})

    np.testing.assert_array_equal(read(turned(place / "t")).images, read(straight(place / "s")).images)


def test_grey_values_of_12_bits_fill_the_range(place, read):
    images = read(folder({"a.tif": twelve_bit_tiff(3)})(place)).images

    np.testing.assert_array_equal(images[0, 0], grey(3, 4095) >> 4)


def test_whole_numbers_are_labels_in_their_order(place, read):
    images = read(folder(classes(*map(str, range(12)), each=1))(place))

    assert images.class_names == tuple(map(str, range(12)))
    assert images.labels.tolist() == list(range(12))
