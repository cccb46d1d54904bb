"""Digits, MNIST and CIFAR-10 as tensors, with splits that never change.

| function       | images         | values | train  | validation | test   | test split       |
|----------------|----------------|--------|--------|------------|--------|------------------|
| `load_digits`  | (N, 1, 8, 8)   | 0..16  | 1,077  | 360        | 360    | 36 of each digit |
| `load_mnist`   | (N, 1, 28, 28) | 0..255 | 54,000 | 6,000      | 10,000 | official         |
| `load_cifar10` | (N, 3, 32, 32) | 0..255 | 45,000 | 5,000      | 10,000 | official         |

The validation split holds equally many images of each class, taken from the training images; the
test split is for final numbers only. A split keeps the order of its source. Images are uint8 as
published; `Dataset.scaled` and `Dataset.normalised` give floats.

Digits (Alpaydin & Kaynak 1998, in scikit-learn) are always there. MNIST (LeCun, Cortes & Burges)
and CIFAR-10 (Krizhevsky 2009) are read from the folder that the argument `root` or the environment
variable COURSE_DATA names (else from course-data in the home folder); nothing is downloaded here.
"""

from __future__ import annotations

import gzip
import importlib.util
import io
import os
import pickle
import shlex
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from shared.checks import check_int
from shared.datasets import DATA_FOLDER, DATASETS

Array = npt.NDArray[np.uint8]
Augmentation = Callable[[Tensor, torch.Generator], Tensor]


class DataMissing(FileNotFoundError):
    """A data set is not in its folder; the message holds the command that downloads it."""


class DataDamaged(ValueError):
    """A data file does not hold what its format promises; the message names the file."""


@dataclass(frozen=True)
class Split:
    """`images` (N, C, H, W), uint8 or float32, and `labels` (N,), int64."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Tensor) -> Split:
        """The images and labels at `indices` (int64)."""
        return Split(self.images[indices], self.labels[indices])


@dataclass(frozen=True)
class Dataset:
    """Three splits and what is needed to feed them to a network.

    `peak` is the value of full intensity; `mean` and `std` are those of each channel over the
    images of training and validation, scaled to 0..1.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    peak: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: tuple[str, ...]

    def scaled(self) -> Dataset:
        """The same with float32 images in 0..1; float images are kept as they are."""
        return self._with_images(lambda images: to_float(images, self.peak))

    def normalised(self) -> Dataset:
        """The same with float32 images of about zero mean and unit variance."""
        return self._with_images(
            lambda images: normalise(to_float(images, self.peak), self.mean, self.std)
        )

    def _with_images(self, change: Callable[[Tensor], Tensor]) -> Dataset:
        parts = (self.train, self.validation, self.test)
        train, validation, test = (Split(change(s.images), s.labels) for s in parts)
        return replace(self, train=train, validation=validation, test=test)


class Loaders(NamedTuple):
    """Batches (images float32 (N, C, H, W), labels int64 (N,)) of each split."""

    train: DataLoader[tuple[Tensor, ...]]
    validation: DataLoader[tuple[Tensor, ...]]
    test: DataLoader[tuple[Tensor, ...]]


# ---- the data sets -------------------------------------------------------------------------

DIGITS_STATISTICS = ((0.3059,), (0.3766,))
MNIST_STATISTICS = ((0.1307,), (0.3081,))
CIFAR10_STATISTICS = ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))

_TEN_DIGITS = tuple("0123456789")
_CIFAR10_CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)


def load(name: str) -> Dataset:
    """One of `shared.datasets.DATASETS` by its name; DataMissing, DataDamaged as its loader."""
    loader: Callable[[], Dataset] = globals()[DATASETS[name].loader]
    return loader()


def load_digits() -> Dataset:
    """Scikit-learn's 1,797 handwritten digits of 8x8 pixels with values 0..16.

    DataMissing without scikit-learn. Only its file is read: importing it takes a second.
    """
    package = importlib.util.find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise DataMissing("the digits come with scikit-learn: pip install scikit-learn")
    path = Path(package.submodule_search_locations[0], "datasets", "data", "digits.csv.gz")
    rows = torch.from_numpy(np.loadtxt(path, dtype=np.uint8, delimiter=","))  # 64 pixels, label
    everything = Split(rows[:, :-1].reshape(-1, 1, 8, 8).contiguous(), rows[:, -1].long())
    rest, test = _hold_out(everything, per_class=36)
    return _dataset("digits", rest, test, 36, 16, DIGITS_STATISTICS, _TEN_DIGITS)


def load_mnist(root: str | os.PathLike[str] | None = None) -> Dataset:
    """MNIST from `root`/MNIST/raw/, the official idx files, plain or .gz.

    Raises DataMissing where they are not there, DataDamaged where one is not an idx file.
    """
    folder = _root(root)
    raw = folder / "MNIST" / "raw"
    names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    paths = [_idx_path(raw / f"{name}-ubyte") for name in names]
    if None in paths:
        raise DataMissing(_how_to_get("MNIST", "MNIST", folder))
    arrays = [_read_idx(path) for path in paths if path is not None]
    train, test = (
        Split(torch.from_numpy(images).unsqueeze(1), torch.from_numpy(labels.astype(np.int64)))
        for images, labels in (arrays[:2], arrays[2:])
    )
    for split, path in zip((train, test), paths[::2]):
        if split.images.dim() != 4 or len(split.images) != len(split.labels):
            raise DataDamaged(f"{path}: expected one 2-d image for each label")
    held = len(train) // 100
    return _dataset("mnist", train, test, held, 255, MNIST_STATISTICS, _TEN_DIGITS)


def load_cifar10(root: str | os.PathLike[str] | None = None) -> Dataset:
    """CIFAR-10 from `root`, in either official form; both give the same tensors.

    The python version is looked for in cifar-10-batches-py/ first (what torchvision unpacks),
    then the binary version in cifar-10-batches-bin/. Pickled files are read without running
    any code that they name.

    Raises DataMissing where neither is there, DataDamaged where a file has another layout.
    """
    folder = _root(root)
    for form, suffix, read in _CIFAR10_FORMS:
        names = [f"data_batch_{i}{suffix}" for i in range(1, 6)] + [f"test_batch{suffix}"]
        paths = [folder / form / name for name in names]
        if all(path.is_file() for path in paths):
            *batches, test = map(read, paths)
            train = Split(
                torch.cat([batch.images for batch in batches]),
                torch.cat([batch.labels for batch in batches]),
            )
            held = len(train) // 100
            return _dataset("cifar10", train, test, held, 255, CIFAR10_STATISTICS, _CIFAR10_CLASSES)
    raise DataMissing(_how_to_get("CIFAR-10", "CIFAR10", folder))


def _dataset(
    name: str,
    source: Split,
    test: Split,
    validation_per_class: int,
    peak: int,
    statistics: tuple[tuple[float, ...], tuple[float, ...]],
    classes: tuple[str, ...],
) -> Dataset:
    train, validation = _hold_out(source, validation_per_class)
    return Dataset(name, train, validation, test, peak, *statistics, classes)


def _hold_out(source: Split, per_class: int) -> tuple[Split, Split]:
    """(the rest, `per_class` images of each class), both in the order of `source`."""
    labels = source.labels.numpy()
    stream = np.random.RandomState(0)  # the one generator whose numbers NumPy never changes
    chosen = [stream.permutation(np.flatnonzero(labels == c))[:per_class] for c in range(10)]
    held = torch.zeros(len(labels), dtype=torch.bool)
    held[torch.from_numpy(np.concatenate(chosen))] = True
    return source.take((~held).nonzero().flatten()), source.take(held.nonzero().flatten())


# ---- files ---------------------------------------------------------------------------------


def _root(root: str | os.PathLike[str] | None) -> Path:
    """The data folder: the argument, else COURSE_DATA, else course-data in the home folder."""
    chosen = root or os.environ.get("COURSE_DATA") or DATA_FOLDER
    return Path(chosen).expanduser().absolute()


def _how_to_get(title: str, name: str, folder: Path) -> str:
    code = f"from torchvision.datasets import {name}; {name}({str(folder)!r}, download=True)"
    argument = shlex.quote(code) if set(code) & set('"$`\\!') else f'"{code}"'
    variable = shlex.quote(str(folder))
    return (
        f"{title} is not in {folder}; install torchvision to get it: python -c {argument} "
        f"&& export COURSE_DATA={variable}"
    )


def _idx_path(path: Path) -> Path | None:
    packed = path.with_name(path.name + ".gz")
    return next((file for file in (path, packed) if file.is_file()), None)


def _read_idx(path: Path) -> Array:
    """An idx file of unsigned bytes: 0, 0, type, dimensions, then big-endian sizes and data."""
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataDamaged(f"{path}: {error}") from None
    if len(data) < 4 or data[:3] != b"\x00\x00\x08":
        raise DataDamaged(f"{path}: not an idx file of unsigned bytes")
    start = 4 + 4 * data[3]
    shape = np.frombuffer(data[4:start], ">u4").astype(int).tolist()
    values = np.frombuffer(data[start:], np.uint8)
    if len(shape) != data[3] or values.size != np.prod(shape, dtype=object):
        raise DataDamaged(f"{path}: expected shape {shape}, got {values.size} bytes")
    return values.reshape(shape).copy()


_RECORD = 1 + 3 * 32 * 32


def _read_cifar10_binary(path: Path) -> Split:
    """Records of a label byte and 3,072 bytes, channel by channel, row by row."""
    values = np.fromfile(path, np.uint8)
    if values.size == 0 or values.size % _RECORD:
        raise DataDamaged(f"{path}: {values.size} bytes are not whole records of {_RECORD}")
    records = values.reshape(-1, _RECORD)
    return _cifar10_split(path, records[:, 1:], records[:, 0])


def _read_cifar10_pickle(path: Path) -> Split:
    """A dictionary with `data`, uint8 (N, 3072), and `labels`, a list of N numbers."""
    try:
        batch = _ArraysOnly(io.BytesIO(path.read_bytes()), encoding="latin1").load()
        data, labels = np.asarray(batch["data"]), np.asarray(batch["labels"])
    except DataDamaged as error:
        raise DataDamaged(f"{path}: {error}") from None
    except Exception as error:  # a broken pickle raises anything
        raise DataDamaged(f"{path}: not a CIFAR-10 batch ({type(error).__name__})") from None
    if data.dtype != np.uint8 or data.ndim != 2 or labels.dtype.kind not in "iu":
        raise DataDamaged(f"{path}: expected uint8 data of 2 dimensions and integer labels")
    return _cifar10_split(path, data, labels)


def _cifar10_split(path: Path, data: Array, labels: npt.NDArray[Any]) -> Split:
    if data.shape != (len(labels), _RECORD - 1) or len(labels) == 0:
        raise DataDamaged(f"{path}: {data.shape} values do not fit {labels.shape} labels")
    if labels.min() < 0 or labels.max() > 9:
        raise DataDamaged(f"{path}: labels should be 0..9")
    images = torch.from_numpy(data.reshape(-1, 3, 32, 32).copy())
    return Split(images, torch.from_numpy(labels.astype(np.int64)))


class _ArraysOnly(pickle.Unpickler):
    """Reads NumPy arrays and plain values; every other name in the file is refused."""

    _ALLOWED = frozenset(
        {
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("_codecs", "encode"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        """The few functions that arrays are made with."""
        if (module, name) not in self._ALLOWED:
            raise DataDamaged(f"the file asks for {module}.{name}, which no batch needs")
        if name == "_reconstruct":  # renamed by NumPy 2, which warns about the old name
            module = "numpy._core.multiarray"
        return super().find_class(module, name)


_CIFAR10_FORMS: tuple[tuple[str, str, Callable[[Path], Split]], ...] = (
    ("cifar-10-batches-py", "", _read_cifar10_pickle),
    ("cifar-10-batches-bin", ".bin", _read_cifar10_binary),
)


# ---- batches -------------------------------------------------------------------------------


def to_float(images: Tensor, max_value: int) -> Tensor:
    """uint8 images with values 0..max_value to float32 in 0..1; float images are returned as is."""
    return images if images.is_floating_point() else images.float() / max_value


def normalise(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """(images - mean) / std by channel, for float images (N, C, H, W) in 0..1."""
    shape = (1, -1, 1, 1)
    return (images - images.new_tensor(mean).view(shape)) / images.new_tensor(std).view(shape)


def loaders(dataset: Dataset, batch_size: int, seed: int = 0) -> Loaders:
    """DataLoaders of the three splits; uint8 images are normalised, float images kept.

    Training batches are shuffled, differently in each epoch, by a generator of their own: the
    same `seed` gives the same batches, and no global generator moves. The last batch may be
    smaller. Raises ValueError if batch_size < 1.
    """
    check_int("batch_size", batch_size, 1)
    ready = dataset if dataset.train.images.is_floating_point() else dataset.normalised()

    def load(split: Split, shuffle: bool) -> DataLoader[tuple[Tensor, ...]]:
        return DataLoader(
            TensorDataset(split.images, split.labels),
            batch_size=batch_size,
            shuffle=shuffle,
            generator=torch.Generator().manual_seed(seed),
        )

    return Loaders(load(ready.train, True), load(ready.validation, False), load(ready.test, False))


class TensorBatches:
    """Shuffled, augmented batches straight from one tensor: faster than a DataLoader.

    As in `loaders`, uint8 images are normalised and float images kept; but only one batch at a
    time is ever float, and everything may live on a GPU (`device`). Order and augmentation depend
    on `seed` and `epoch` alone; every iteration moves on to the next epoch, and setting `epoch`
    goes back to an earlier one. Without `seed` the order is that of the split and nothing is
    augmented.
    """

    def __init__(
        self,
        dataset: Dataset,
        split: Split,
        batch_size: int,
        seed: int | None = None,
        augmentation: Augmentation | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        check_int("batch_size", batch_size, 1)
        if augmentation is not None and seed is None:
            raise ValueError("seed: expected a number, since an augmentation is given; got None")
        self.dataset = dataset
        self.images = split.images.to(device)
        self.labels = split.labels.to(device)
        self.batch_size = batch_size
        self.seed = seed
        self.augmentation = augmentation
        self.epoch = 0

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches (images float32 (N, C, H, W), labels int64 (N,)) of one epoch."""
        generator = torch.Generator()
        order = torch.arange(len(self.labels))
        if self.seed is not None:
            generator.manual_seed(self.seed * 1_000_003 + self.epoch)
            order = torch.randperm(len(self.labels), generator=generator)
        self.epoch += 1
        for indices in torch.split(order.to(self.labels.device), self.batch_size):
            yield self.batch(indices, generator)

    def batch(self, indices: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The samples at `indices` (int64) as they are yielded; subclasses may change it."""
        images = self.images[indices]
        if not images.is_floating_point():
            images = to_float(images, self.dataset.peak)
            images = normalise(images, self.dataset.mean, self.dataset.std)
        if self.augmentation is not None:
            images = self.augmentation(images, generator)
        return images, self.labels[indices]


# ---- augmentation --------------------------------------------------------------------------


def random_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image (N, C, H, W) left to right with probability one half."""
    flip = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(flip.to(images.device).view(-1, 1, 1, 1), images.flip(-1), images)


def random_crop(
    images: Tensor, generator: torch.Generator, padding: int = 4, size: int | None = None
) -> Tensor:
    """A window of each image (N, C, H, W) at random, zeros padded all around.

    The window is `size` pixels high and wide, or as large as the image: a shift by up to `padding`
    pixels either way.

    Raises ValueError if the window is larger than the padded image.
    """
    n, _, *shape = images.shape
    out = shape if size is None else [size, size]
    room = [side + 2 * padding - window for side, window in zip(shape, out, strict=True)]
    if min(room) < 0:
        raise ValueError(f"size: expected at most {min(shape) + 2 * padding}, got {size}")
    padded = F.pad(images, [padding] * 4).permute(0, 2, 3, 1)  # (N, H + 2p, W + 2p, C)
    rows, columns = (
        torch.randint(0, free + 1, (n, 1), generator=generator) + torch.arange(window)
        for free, window in zip(room, out, strict=True)
    )
    batch = torch.arange(n).view(-1, 1, 1)
    index = [i.to(images.device) for i in (batch, rows.unsqueeze(2), columns.unsqueeze(1))]
    return padded[tuple(index)].permute(0, 3, 1, 2).contiguous()


def flip_and_crop(images: Tensor, generator: torch.Generator) -> Tensor:
    """The usual augmentation for CIFAR-10 (He et al. 2016, section 4.2)."""
    return random_crop(random_flip(images, generator), generator)
