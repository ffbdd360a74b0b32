"""Downloads through torchvision, from a server on this machine."""

import gc
import gzip
import hashlib
import http.server
import io
import pickle
import socket
import struct
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import savemat
from torchvision import datasets as official

from oodbench.benchmark import Part
from oodbench.data.parts import load_part
from oodbench.errors import DataError
from oodbench.images import Conversion, ImageSet
from oodbench.plugins import registry
from oodbench.progress import SILENT
from oodbench.store.artifacts import ArtifactStore
from oodbench.store.workspace import Workspace

Pixels = NDArray[np.uint8]
Load = Callable[..., ImageSet]
MakePixels = Callable[..., Pixels]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the address that it is served at."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    with http.server.HTTPServer(("127.0.0.1", 0), lambda *args: Quiet(*args, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def dead_address() -> str:
    """An address where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}/"


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def idx(array: Pixels) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture(params=["mnist", "fashion_mnist", "svhn", "cifar10", "cifar100"])
def offered(
    request: pytest.FixtureRequest, mirror: tuple[Path, str], pixels: MakePixels, monkeypatch: pytest.MonkeyPatch
) -> str:
    """A data set of which the mirror has three test images (seed 1) and two training images (seed 0)."""
    folder, address = mirror
    name = request.param
    if "mnist" in name:
        offer_idx(getattr(official, {"mnist": "MNIST"}.get(name, "FashionMNIST")), folder, address, pixels, monkeypatch)
    elif name == "svhn":
        offer_svhn(folder, address, pixels, monkeypatch)
    else:
        offer_cifar(getattr(official, name.upper()), folder, address, pixels, monkeypatch)
    return name


def offer_idx(kind: type, folder: Path, address: str, pixels: MakePixels, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {}
    for stem, seed, count in (("train", 0, 2), ("t10k", 1, 3)):
        files[f"{stem}-images-idx3-ubyte.gz"] = gzip.compress(idx(pixels(count, 4, 4, seed=seed)))
        files[f"{stem}-labels-idx1-ubyte.gz"] = gzip.compress(idx(np.arange(count, dtype=np.uint8)))
    for name, content in files.items():
        (folder / name).write_bytes(content)
    monkeypatch.setattr(kind, "mirrors", [address])
    monkeypatch.setattr(kind, "resources", [(name, md5(content)) for name, content in files.items()])


def offer_svhn(folder: Path, address: str, pixels: MakePixels, monkeypatch: pytest.MonkeyPatch) -> None:
    offers = {}
    for split, seed, count in (("train", 0, 2), ("test", 1, 3)):
        file = folder / f"{split}_32x32.mat"
        images = pixels(count, 4, 4, 3, seed=seed).transpose(1, 2, 3, 0)
        savemat(file, {"X": images, "y": np.arange(1, count + 1, dtype=np.uint8)[:, np.newaxis]})
        offers[split] = [address + file.name, file.name, md5(file.read_bytes())]
    monkeypatch.setattr(official.SVHN, "split_list", offers)


def offer_cifar(kind: type, folder: Path, address: str, pixels: MakePixels, monkeypatch: pytest.MonkeyPatch) -> None:
    labels, names, classes = (
        ("labels", "label_names", 10)
        if kind is official.CIFAR10
        else (
            "fine_labels",
            "fine_label_names",
            100,
        )
    )
    files = {kind.meta["filename"]: pickle.dumps({names: [f"thing {i}" for i in range(classes)]})}
    for batch, _ in kind.train_list:
        files[batch] = pickle.dumps({"data": pixels(2, 3072, seed=0), labels: [0, 1]})
    files[kind.test_list[0][0]] = pickle.dumps({"data": pixels(3, 3072, seed=1), labels: [0, 1, 2]})
    with tarfile.open(folder / kind.filename, "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"{kind.base_folder}/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    monkeypatch.setattr(kind, "url", address + kind.filename)
    monkeypatch.setattr(kind, "tgz_md5", md5((folder / kind.filename).read_bytes()))
    for split in ("train_list", "test_list"):
        monkeypatch.setattr(kind, split, [[name, md5(files[name])] for name, _ in getattr(kind, split)])
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": md5(files[kind.meta["filename"]])})


# Python 3.12 and 3.13 warn that `tarfile` will filter one day; torchvision unpacks with it.
unpacks = pytest.mark.filterwarnings("ignore:.*filter extracted tar archives:DeprecationWarning")


@unpacks
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_downloaded_set_is_there(split: str, offered: str, data_dir: Path) -> None:
    dataset = registry.dataset(offered)
    dataset.download(data_dir)
    assert dataset.locate(split, data_dir).present


@unpacks
def test_a_downloaded_set_reads_as_it_was_offered(offered: str, data_dir: Path, load: Load, pixels: MakePixels) -> None:
    registry.dataset(offered).download(data_dir)
    shape = {"svhn": (3, 4, 4, 3), "cifar10": (3, 3, 32, 32), "cifar100": (3, 3, 32, 32)}.get(offered, (3, 1, 4, 4))
    expected = pixels(*shape, seed=1)
    images = load(offered).images
    np.testing.assert_array_equal(expected.transpose(0, 3, 1, 2) if offered == "svhn" else expected, images)


@unpacks
def test_a_missing_set_is_downloaded_where_one_asks_for_it(
    offered: str, data_dir: Path, cache_dir: Path, heard
) -> None:
    part = Part(dataset=offered)
    images = load_part(
        part,
        Conversion(),
        Workspace(data_dir=data_dir, artifacts=ArtifactStore(cache_dir), report=heard),
        download=True,
    )
    assert (len(images), heard.messages) == (3, [f"downloading {offered} to {data_dir}"])


@unpacks
def test_a_set_that_is_there_is_not_downloaded_again(
    offered: str, data_dir: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = registry.dataset(offered)
    dataset.download(data_dir)
    monkeypatch.setattr(type(dataset), "download", lambda *_: pytest.fail("downloaded again"))
    part = Part(dataset=offered)
    assert (
        len(
            load_part(
                part,
                Conversion(),
                Workspace(data_dir=data_dir, artifacts=ArtifactStore(cache_dir), report=SILENT),
                download=True,
            )
        )
        == 3
    )


def test_what_torchvision_prints_is_no_result(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(official, "MNIST", lambda **_: sys.stdout.write("already downloaded"))
    registry.dataset("mnist").download(data_dir)
    assert tuple(capsys.readouterr()) == ("", "already downloaded")


def test_a_download_with_another_checksum_is_an_error_with_a_next_step(
    offered: str, mirror: tuple[Path, str], data_dir: Path
) -> None:
    for file in mirror[0].iterdir():
        file.write_bytes(file.read_bytes() + b"\0")
    message = f"{offered} could not be downloaded to {data_dir}: .*; try again later, or put the files there by hand"
    with pytest.raises(DataError, match=f"(?s){message}"):
        registry.dataset(offered).download(data_dir)


@pytest.fixture
def swept() -> Iterator[None]:
    """Collect the responses that urllib leaves open in its errors, before another test is blamed for them."""
    yield
    gc.collect()


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.usefixtures("swept")
def test_a_file_that_the_mirror_has_not_is_an_error_with_a_next_step(
    offered: str, mirror: tuple[Path, str], data_dir: Path
) -> None:
    for file in mirror[0].iterdir():
        file.unlink()
    with pytest.raises(DataError, match="(?s)could not be downloaded .*404.*try again later"):
        registry.dataset(offered).download(data_dir)


def redirect(name: str, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a data set look for its files at this address only."""
    if "mnist" in name:
        monkeypatch.setattr(official.MNIST if name == "mnist" else official.FashionMNIST, "mirrors", [address])
    elif name == "svhn":
        offers = {split: [address, *rest] for split, (_, *rest) in official.SVHN.split_list.items()}
        monkeypatch.setattr(official.SVHN, "split_list", offers)
    else:
        monkeypatch.setattr(getattr(official, name.upper()), "url", address)


ALL = ["mnist", "fashion_mnist", "svhn", "cifar10", "cifar100"]


@pytest.mark.parametrize("name", ALL)
def test_a_dead_mirror_is_an_error_with_a_next_step(
    name: str, dead_address: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    redirect(name, dead_address, monkeypatch)
    with pytest.raises(DataError, match="(?s)could not be downloaded .*refused.*try again later"):
        registry.dataset(name).download(data_dir)


@pytest.fixture
def babbling_address() -> Iterator[str]:
    """The address of a server that does not speak HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def babble() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"220 mail.example.org ESMTP\r\n\r\n")

        thread = threading.Thread(target=babble)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        thread.join()


@pytest.mark.parametrize("name", ["mnist", "svhn", "cifar10"])
def test_a_server_that_does_not_speak_http_is_an_error_with_a_next_step(
    name: str, babbling_address: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    redirect(name, babbling_address, monkeypatch)
    with pytest.raises(DataError, match="(?s)could not be downloaded .*220 mail.*try again later"):
        registry.dataset(name).download(data_dir)


def test_a_data_folder_that_cannot_be_written_to_is_an_error_with_a_next_step(offered: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="(?s)could not be downloaded .*try again later, or put the files there"):
        registry.dataset(offered).download(tmp_path / "file")


@pytest.mark.parametrize("name", ["digits", "photo_patches", "gaussian"])
def test_sets_that_need_no_files_do_not_offer_a_download(name: str) -> None:
    assert not registry.dataset(name).downloadable
