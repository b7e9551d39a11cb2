"""The IDX files in which MNIST is distributed.

Format, from http://yann.lecun.com/exdb/mnist/: two zero bytes, a byte for the type of the numbers,
a byte for the rank, the dimensions as big-endian 32-bit integers, then the numbers, big-endian, in
row-major order.
"""

import gzip
import math
import zlib
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxnet.data.dataset import Dataset

_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP_MAGIC = b"\x1f\x8b"
_KINDS = {1: "labels", 3: "images"}


def mnist(folder: str | PathLike[str]) -> tuple[Dataset, Dataset]:
    """Read MNIST, or another dataset in its form, from the four IDX files in a folder.

    The files are train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and
    t10k-labels-idx1-ubyte, as they are or compressed with the ending .gz; a dot in place of the
    hyphen before "idx" is accepted.

    Args:
        folder: The folder with the four files.

    Returns:
        The training part and the test part: x in float32, each image a row of 784 pixels in
        [0, 1]; t the digits 0 to 9.

    Raises:
        FileNotFoundError: The folder or a file is missing.
        ValueError: A file is faulty, or does not hold what its name says.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder; give the one with the MNIST files")
    return _part(folder, "train"), _part(folder, "t10k")


def read_idx(path: str | PathLike[str]) -> NDArray[Any]:
    """Read an IDX file, compressed with gzip or not.

    Args:
        path: The file.

    Returns:
        Its array, of the type and shape in the file's header.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The compression is broken, the header is not one of an IDX file, or the file's
            length differs from what the header says.
    """
    content = _content(Path(path))
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _DTYPES or content[3] == 0:
        raise ValueError(
            f"{path}: the first bytes are {content[:4].hex(' ') or 'none'}; an IDX file begins "
            "with 00 00, a type (08 for bytes) and a rank (01 for labels, 03 for images)"
        )
    dtype = np.dtype(_DTYPES[content[2]])
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise ValueError(f"{path}: truncated in the header; copy or download the file again")
    shape = tuple(int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4))
    expected = start + math.prod(shape) * dtype.itemsize
    if len(content) != expected:
        state = "truncated" if len(content) < expected else "too long"
        raise ValueError(
            f"{path}: {state}: the header says shape {shape}, {expected} bytes in all, "
            f"but there are {len(content)}; copy or download the file again"
        )
    array = np.frombuffer(content, dtype, offset=start).reshape(shape)
    return array.astype(dtype.newbyteorder("="))


def _content(path: Path) -> bytes:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file; give the path of an IDX file")
    content = path.read_bytes()
    # The content decides, not the name: some browsers and tools unpack a file and leave its name.
    if not content.startswith(_GZIP_MAGIC):
        return content
    try:
        return gzip.decompress(content)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(
            f"{path}: the gzip compression is broken ({error}); copy or download the file again"
        ) from error


def _part(folder: Path, part: str) -> Dataset:
    images_path, images = _read_ubytes(folder, f"{part}-images", rank=3)
    labels_path, labels = _read_ubytes(folder, f"{part}-labels", rank=1)
    if images.shape[1:] != (28, 28):
        raise ValueError(
            f"{images_path}: the images have {images.shape[1]}x{images.shape[2]} pixels; "
            "expected 28x28"
        )
    if len(images) != len(labels):
        raise ValueError(
            f"{images_path} holds {len(images)} images but {labels_path} holds {len(labels)} "
            "labels; expected as many labels as images"
        )
    if not len(labels):
        raise ValueError(f"{images_path} and {labels_path} are empty; expected at least one image")
    if labels.max() > 9:
        i = int(np.argmax(labels > 9))
        raise ValueError(f"{labels_path}: label {i} is {labels[i]}; expected a digit from 0 to 9")
    return Dataset(
        x=images.reshape(len(images), 784) / np.float32(255),
        t=labels.astype(np.int32),
        features=tuple(f"pixel_{i}_{j}" for i in range(28) for j in range(28)),
        classes=tuple(str(digit) for digit in range(10)),
        target="digit",
    )


def _read_ubytes(folder: Path, stem: str, rank: int) -> tuple[Path, NDArray[np.uint8]]:
    names = [f"{stem}{mark}idx{rank}-ubyte{gz}" for mark in "-." for gz in ("", ".gz")]
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    if path is None:
        raise FileNotFoundError(f"{folder} holds none of {', '.join(names)}; put one of them there")
    array = read_idx(path)
    if array.ndim != rank:
        found = _KINDS.get(array.ndim, f"an array of rank {array.ndim}")
        raise ValueError(
            f"{path}: holds {found} where {_KINDS[rank]} are due; "
            "are the names of two files swapped?"
        )
    if array.dtype != np.uint8:
        raise ValueError(f"{path}: the numbers are {array.dtype}; expected bytes (type 08)")
    return path, array
