import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from jaxnet import data

TYPES = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}
NAMES = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
]


def idx(array: NDArray[np.generic]) -> bytes:
    header = bytes([0, 0, TYPES[array.dtype.name], array.ndim])
    dimensions = np.array(array.shape, dtype=">u4").tobytes()
    return header + dimensions + array.astype(array.dtype.newbyteorder(">")).tobytes()


def images(n: int, first: int = 0) -> NDArray[np.uint8]:
    return (np.arange(first, first + n * 784) % 256).astype(np.uint8).reshape(n, 28, 28)


def labels(*digits: int) -> NDArray[np.uint8]:
    return np.array(digits, dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with 3 training and 2 test images."""
    arrays = [images(3), labels(5, 0, 9), images(2, first=7), labels(1, 2)]
    for name, array in zip(NAMES, arrays, strict=True):
        (tmp_path / name).write_bytes(idx(array))
    return tmp_path


def test_mnist_is_two_parts_of_rows_of_pixels(folder: Path) -> None:
    train, test = data.mnist(folder)
    np.testing.assert_array_equal(train.x, images(3).reshape(3, 784) / np.float32(255))
    np.testing.assert_array_equal(test.x, images(2, first=7).reshape(2, 784) / np.float32(255))
    assert train.x.dtype == np.float32
    assert (train.x.min(), train.x.max()) == (0, 1)
    assert train.t.tolist() == [5, 0, 9]
    assert test.t.tolist() == [1, 2]
    assert train.t.dtype == np.int32
    assert train.classes == tuple("0123456789")
    assert train.features[29] == "pixel_1_1"
    assert len(train.features) == 784


def test_the_files_may_be_compressed_and_have_a_dot_in_their_names(folder: Path) -> None:
    plain = data.mnist(folder)
    for name, new in zip(
        NAMES,
        [
            "train-images.idx3-ubyte.gz",
            "train-labels-idx1-ubyte.gz",
            "t10k-images.idx3-ubyte",
            "t10k-labels.idx1-ubyte.gz",
        ],
        strict=True,
    ):
        content = (folder / name).read_bytes()
        (folder / name).unlink()
        (folder / new).write_bytes(
            gzip.compress(content, mtime=0) if new.endswith("gz") else content
        )
    for part, again in zip(plain, data.mnist(str(folder)), strict=True):
        np.testing.assert_array_equal(part.x, again.x)
        np.testing.assert_array_equal(part.t, again.t)


def test_an_unpacked_file_may_keep_its_ending(folder: Path) -> None:
    (folder / NAMES[0]).rename(folder / f"{NAMES[0]}.gz")
    assert len(data.mnist(folder)[0].x) == 3


@pytest.mark.parametrize("name", TYPES)
def test_every_type_of_the_format_is_read(tmp_path: Path, name: str) -> None:
    array = np.arange(-6, 6).reshape(2, 3, 2).astype(name)
    (tmp_path / "array").write_bytes(idx(array))
    read = data.read_idx(tmp_path / "array")
    np.testing.assert_array_equal(read, array)
    assert read.dtype == array.dtype
    assert read.dtype.isnative


def test_the_header_is_big_endian(tmp_path: Path) -> None:
    # Written out byte by byte, independently of the helper: 258 = 0x0102 labels.
    (tmp_path / "labels").write_bytes(b"\x00\x00\x08\x01\x00\x00\x01\x02" + bytes(258))
    assert data.read_idx(tmp_path / "labels").shape == (258,)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"first bytes are none; an IDX file begins with 00 00"),
        (b"\x00\x00\x08", r"first bytes are 00 00 08;"),
        (b"\x89PNG\r\n", r"first bytes are 89 50 4e 47;"),
        (b"\x00\x00\x0a\x01\x00\x00\x00\x00", r"first bytes are 00 00 0a 01;"),
        (b"\x00\x00\x08\x00", r"first bytes are 00 00 08 00;"),
        (b"\x00\x00\x08\x03\x00\x00\x00\x01\x00", r"truncated in the header"),
        (idx(labels(1, 2, 3))[:-1], r"truncated: the header says shape \(3,\), 11 .* are 10"),
        (idx(labels(1, 2, 3)) + b"\x00", r"too long: the header says shape \(3,\), 11 .* are 12"),
        (idx(np.zeros((2, 2), np.int32))[:-4], r"truncated: .*shape \(2, 2\), 28 .* are 24"),
        (gzip.compress(b"\x00\x00\x08\x01", mtime=0)[:-1], r"gzip compression is broken"),
        (gzip.compress(b"\x00\x00\x08\x01", mtime=0) + b"x", r"gzip compression is broken"),
        (b"\x1f\x8b", r"gzip compression is broken"),
        (b"\x1f\x8b\x08" + bytes(7) + b"\xff" * 20, r"gzip compression is broken"),
    ],
)
def test_a_faulty_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        data.read_idx(tmp_path / "file")


def test_a_changed_byte_of_a_compressed_file_is_found(tmp_path: Path) -> None:
    content = bytearray(gzip.compress(idx(labels(*range(200))), mtime=0))
    content[-8] ^= 1  # the checksum
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match=r"gzip compression is broken \(CRC"):
        data.read_idx(tmp_path / "file")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent: there is no such file"):
        data.read_idx(tmp_path / "absent")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent is not a folder"):
        data.mnist(tmp_path / "absent")


def test_a_missing_part_lists_the_names_looked_for(folder: Path) -> None:
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(
        FileNotFoundError,
        match=r"none of t10k-labels-idx1-ubyte, t10k-labels-idx1-ubyte\.gz, "
        r"t10k-labels\.idx1-ubyte, t10k-labels\.idx1-ubyte\.gz",
    ):
        data.mnist(folder)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        (NAMES[0], labels(1, 2, 3), r"train-images.*: holds labels where images are due"),
        (NAMES[3], images(2), r"t10k-labels.*: holds images where labels are due.*swapped"),
        (NAMES[0], np.zeros((3, 784), np.uint8), r"holds an array of rank 2 where images are due"),
        (NAMES[1], np.zeros(3, np.int32), r"train-labels.*: the numbers are int32; expected bytes"),
        (NAMES[0], np.zeros((3, 8, 9), np.uint8), r"images have 8x9 pixels; expected 28x28"),
        (NAMES[1], labels(1, 2), r"holds 3 images but .*train-labels.* holds 2 labels"),
        (NAMES[1], labels(1, 10, 2), r"train-labels.*: label 1 is 10; expected a digit from 0 to"),
    ],
)
def test_a_file_that_does_not_hold_its_part_is_refused(
    folder: Path, name: str, array: NDArray[np.generic], message: str
) -> None:
    (folder / name).write_bytes(idx(array))
    with pytest.raises(ValueError, match=message):
        data.mnist(folder)


def test_empty_parts_are_refused(folder: Path) -> None:
    (folder / NAMES[2]).write_bytes(idx(images(0)))
    (folder / NAMES[3]).write_bytes(idx(labels()))
    with pytest.raises(ValueError, match=r"are empty; expected at least one image"):
        data.mnist(folder)


@pytest.mark.skipif(
    "JAXNET_MNIST" not in os.environ,
    reason="JAXNET_MNIST does not name the folder with the MNIST files",
)
def test_the_real_files() -> None:
    train, test = data.mnist(os.environ["JAXNET_MNIST"])
    assert train.x.shape == (60_000, 784)
    assert test.x.shape == (10_000, 784)
    assert train.t[:5].tolist() == [5, 0, 4, 1, 9]
    assert test.t[:5].tolist() == [7, 2, 1, 0, 4]
    # The pixels' mean and deviation that are quoted everywhere for MNIST.
    assert abs(train.x.mean(dtype=np.float64) - 0.1307) < 5e-5
    assert abs(train.x.std(dtype=np.float64) - 0.3081) < 5e-5
