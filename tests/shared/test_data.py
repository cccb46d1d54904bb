import gzip
import os
import pickle
import shlex
import struct
import subprocess
from typing import ClassVar

import numpy as np
import pytest
import torch

from shared.data import (
    CIFAR10_STATISTICS,
    MNIST_STATISTICS,
    DataDamaged,
    DataMissing,
    Split,
    TensorBatches,
    flip_and_crop,
    load_cifar10,
    load_digits,
    load_mnist,
    loaders,
    normalise,
    random_crop,
    random_flip,
    to_float,
)

COURSE_DATA = os.environ.get("COURSE_DATA", "")
needs_real_data = pytest.mark.skipif(
    not COURSE_DATA, reason="COURSE_DATA is not set: no real MNIST and CIFAR-10 here"
)


@pytest.fixture(scope="module")
def digits():
    return load_digits()


def parts(dataset):
    return dataset.train, dataset.validation, dataset.test


def rows(images):
    """Each image as bytes, sorted: equal for equal sets of images."""
    return sorted(image.numpy().tobytes() for image in images)


# ---- digits -----------------------------------------------------------------------------------


def test_digits_splits_are_a_partition_of_the_source(digits):
    from sklearn import datasets

    source = datasets.load_digits()
    together = [image for split in parts(digits) for image in split.images]
    assert rows(together) == rows(torch.from_numpy(source.images.astype(np.uint8))[:, None])
    assert sum(int(split.labels.sum()) for split in parts(digits)) == source.target.sum()


def test_digits_sizes_and_types(digits):
    assert [len(split) for split in parts(digits)] == [1077, 360, 360]
    for split in parts(digits):
        assert split.images.dtype == torch.uint8
        assert split.images.shape[1:] == (1, 8, 8)
        assert split.labels.dtype == torch.int64
    for split in (digits.validation, digits.test):
        assert split.labels.bincount().tolist() == [36] * 10
    assert digits.peak == digits.train.images.max() == 16


def test_digits_test_split_never_changes(digits):
    # The final project's numbers depend on it.
    weights = torch.arange(1, 361)
    assert int((digits.test.labels * weights).sum()) == 294_714
    assert int((digits.test.images.sum((1, 2, 3)) * weights).sum()) == 20_104_062


def test_statistics_are_those_of_training_and_validation(digits):
    images = torch.cat([digits.train.images, digits.validation.images]).double() / 16
    assert digits.mean == (pytest.approx(float(images.mean()), abs=5e-5),)
    assert digits.std == (pytest.approx(float(images.std()), abs=5e-5),)


def test_scaled_and_normalised(digits):
    scaled, normalised = digits.scaled(), digits.normalised()
    assert scaled.train.images.dtype == torch.float32
    assert torch.equal(scaled.test.images * 16, digits.test.images.float())
    assert torch.equal(scaled.scaled().test.images, scaled.test.images)
    back = normalised.test.images * digits.std[0] + digits.mean[0]
    assert torch.allclose(back, scaled.test.images, atol=1e-6)
    assert abs(float(normalised.train.images.mean())) < 0.01
    assert digits.train.images.dtype == torch.uint8


def test_normalise_works_by_channel():
    images = torch.rand(2, 3, 4, 4)
    result = normalise(images, (0.1, 0.2, 0.3), (1.0, 2.0, 4.0))
    for c, (mean, std) in enumerate([(0.1, 1.0), (0.2, 2.0), (0.3, 4.0)]):
        assert torch.allclose(result[:, c], (images[:, c] - mean) / std)


def test_float_images_are_not_scaled_twice():
    images = torch.rand(2, 1, 4, 4)
    assert to_float(images, 255) is images


# ---- synthetic files --------------------------------------------------------------------------


class Python2Pickler(pickle._Pickler):
    """Writes str and bytes as Python 2 wrote its str, which is how CIFAR-10 was pickled."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_old_string(self, value):
        data = value if isinstance(value, bytes) else value.encode("latin1")
        self.write(pickle.BINSTRING + struct.pack("<i", len(data)) + data)
        self.memoize(value)

    dispatch[bytes] = dispatch[str] = save_old_string


@pytest.fixture
def cifar10(tmp_path):
    """Both forms of one tiny set: six batches of 40 images, 4 of each class."""
    python, binary = tmp_path / "cifar-10-batches-py", tmp_path / "cifar-10-batches-bin"
    python.mkdir()
    binary.mkdir()
    rng = np.random.default_rng(0)
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        data = rng.integers(0, 256, (40, 3072), dtype=np.uint8)
        labels = rng.permutation(np.arange(40) % 10)
        with (python / name).open("wb") as file:
            content = {"data": data, "labels": labels.tolist(), "batch_label": "x"}
            Python2Pickler(file, protocol=2).dump(content)
        records = np.concatenate([labels[:, None].astype(np.uint8), data], axis=1)
        (binary / f"{name}.bin").write_bytes(records.tobytes())
    return tmp_path


def assert_same(a, b):
    for left, right in zip(parts(a), parts(b)):
        assert torch.equal(left.images, right.images)
        assert torch.equal(left.labels, right.labels)


def without(folder, name):
    for path in (folder / name).iterdir():
        path.unlink()
    (folder / name).rmdir()


def test_both_forms_of_cifar10_give_the_same_tensors(cifar10):
    from_python = load_cifar10(cifar10)
    without(cifar10, "cifar-10-batches-py")
    from_binary = load_cifar10(cifar10)
    assert_same(from_python, from_binary)
    assert [len(split) for split in parts(from_binary)] == [180, 20, 40]
    assert from_binary.validation.labels.bincount().tolist() == [2] * 10


def test_cifar10_layout_is_channel_row_column_in_source_order(cifar10):
    record = (cifar10 / "cifar-10-batches-bin" / "test_batch.bin").read_bytes()[3073:6146]
    test = load_cifar10(cifar10).test
    assert test.labels[1] == record[0]
    for c, y, x in [(0, 0, 0), (0, 0, 31), (1, 2, 3), (2, 31, 30)]:
        assert test.images[1, c, y, x] == record[1 + 1024 * c + 32 * y + x]


def test_pickled_cifar10_as_torchvision_reads_it(cifar10, monkeypatch):
    torchvision = pytest.importorskip("torchvision")
    reference = torchvision.datasets.CIFAR10
    monkeypatch.setattr(reference, "_check_integrity", lambda _: True)
    monkeypatch.setattr(reference, "_load_meta", lambda _: None)
    theirs = reference(str(cifar10), train=False)
    ours = load_cifar10(cifar10).test
    assert np.array_equal(ours.images.permute(0, 2, 3, 1).numpy(), theirs.data)
    assert ours.labels.tolist() == theirs.targets


def test_cifar10_pickled_by_python_3_is_read_too(cifar10):
    path = cifar10 / "cifar-10-batches-py" / "test_batch"
    before = load_cifar10(cifar10)
    batch = pickle.loads(path.read_bytes(), encoding="latin1")
    path.write_bytes(pickle.dumps(batch, protocol=4))
    assert_same(load_cifar10(cifar10), before)


def test_a_pickle_that_would_run_code_is_refused(cifar10, tmp_path):
    marker = tmp_path / "ran"

    class Bomb:
        def __reduce__(self):
            return os.system, (f"touch {shlex.quote(str(marker))}",)

    path = cifar10 / "cifar-10-batches-py" / "data_batch_3"
    path.write_bytes(pickle.dumps({"data": Bomb(), "labels": []}))
    with pytest.raises(DataDamaged, match=r"data_batch_3: the file asks for \w+\.system"):
        load_cifar10(cifar10)
    assert not marker.exists()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(pickle.dumps([1, 2]), id="no dictionary"),
        pytest.param(pickle.dumps({"labels": [1]}), id="no data"),
        pytest.param(pickle.dumps({"data": np.zeros((2, 3072)), "labels": [0, 1]}), id="floats"),
        pytest.param(
            pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": [0]}), id="lengths"
        ),
        pytest.param(
            pickle.dumps({"data": np.zeros((1, 3072), np.uint8), "labels": [10]}), id="label"
        ),
        pytest.param(
            pickle.dumps({"data": np.zeros((1, 99), np.uint8), "labels": [1]}), id="width"
        ),
    ],
)
def test_damaged_pickles_are_named(cifar10, content):
    (cifar10 / "cifar-10-batches-py" / "test_batch").write_bytes(content)
    with pytest.raises(DataDamaged, match="test_batch: "):
        load_cifar10(cifar10)


@pytest.mark.parametrize("content", [b"", b"\x00" * 3072, b"\x0a" + b"\x00" * 3072])
def test_damaged_binary_files_are_named(cifar10, content):
    without(cifar10, "cifar-10-batches-py")
    (cifar10 / "cifar-10-batches-bin" / "data_batch_1.bin").write_bytes(content)
    with pytest.raises(DataDamaged, match=r"data_batch_1\.bin: "):
        load_cifar10(cifar10)


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def mnist(tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, n in (("train", 200), ("t10k", 30)):
        images = rng.integers(0, 256, (n, 28, 28))
        (raw / f"{name}-images-idx3-ubyte").write_bytes(idx(images))
        (raw / f"{name}-labels-idx1-ubyte").write_bytes(idx(np.arange(n) % 10))
    return tmp_path


def test_mnist_from_idx_files(mnist):
    dataset = load_mnist(mnist)
    assert [len(split) for split in parts(dataset)] == [180, 20, 30]
    assert dataset.test.images.shape == (30, 1, 28, 28)
    assert dataset.test.labels.tolist() == [i % 10 for i in range(30)]
    raw = (mnist / "MNIST" / "raw" / "t10k-images-idx3-ubyte").read_bytes()
    assert dataset.test.images[2, 0, 3, 4] == raw[16 + 2 * 784 + 3 * 28 + 4]


def test_mnist_compressed_or_not_is_the_same(mnist):
    plain = load_mnist(mnist)
    for path in (mnist / "MNIST" / "raw").iterdir():
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert_same(load_mnist(mnist), plain)


@pytest.mark.parametrize(
    ("suffix", "content"),
    [
        ("", b"\x00\x00\x0d\x01\x00\x00\x00\x00"),
        ("", b"\x00"),
        ("", idx(np.zeros((30, 28, 28)))[:-1]),
        ("", idx(np.zeros((29, 28, 28)))),
        ("", idx(np.zeros((30, 784)))),
        (".gz", b"not gzip"),
        (".gz", gzip.compress(idx(np.zeros((30, 28, 28))))[:-12]),
    ],
    ids=["header", "one byte", "short", "one less", "flat", "no gzip", "short gzip"],
)
def test_damaged_idx_files_are_named(mnist, suffix, content):
    path = mnist / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    path.unlink()
    path.with_name(path.name + suffix).write_bytes(content)
    with pytest.raises(DataDamaged, match="t10k-images-idx3-ubyte"):
        load_mnist(mnist)


# ---- missing data -----------------------------------------------------------------------------


@pytest.mark.parametrize(("load", "name"), [(load_mnist, "MNIST"), (load_cifar10, "CIFAR10")])
@pytest.mark.parametrize("folder", ["here", "it's $HOME", 'a "b" c'])
def test_missing_data_says_what_to_run(tmp_path, load, name, folder):
    root = tmp_path / folder
    with pytest.raises(DataMissing) as caught:
        load(root)
    message = str(caught.value)
    assert "\n" not in message
    assert isinstance(caught.value, FileNotFoundError)
    command, _, export = message.partition("to get it: ")[2].rpartition(" && ")
    python, option, code = shlex.split(command)
    assert (python, option) == ("python", "-c")
    seen = []
    fake = f"from torchvision.datasets import {name}; "
    assert code.startswith(fake)
    exec(code.removeprefix(fake), {name: lambda *args, **kwargs: seen.append((args, kwargs))})
    assert seen == [((str(root),), {"download": True})]
    shell = subprocess.run(
        ["sh", "-c", f'{export}; printf %s "$COURSE_DATA"'], capture_output=True, text=True
    )
    assert shell.stdout == str(root)


def test_root_is_the_argument_then_course_data_then_the_home_folder(cifar10, monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_DATA", str(cifar10))
    assert len(load_cifar10().test) == 40
    with pytest.raises(DataMissing, match="elsewhere"):
        load_cifar10(tmp_path / "elsewhere")
    monkeypatch.setenv("COURSE_DATA", "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with pytest.raises(DataMissing) as caught:
        load_cifar10()
    assert str(tmp_path / "home" / "course-data") in str(caught.value)


def test_an_incomplete_set_counts_as_missing(cifar10):
    (cifar10 / "cifar-10-batches-py" / "data_batch_5").unlink()
    assert len(load_cifar10(cifar10).train) == 180  # the other form is complete
    (cifar10 / "cifar-10-batches-bin" / "test_batch.bin").unlink()
    with pytest.raises(DataMissing):
        load_cifar10(cifar10)


# ---- the real sets ----------------------------------------------------------------------------


def loaded_or_skipped(load):
    try:
        return load()
    except DataMissing as error:
        pytest.skip(str(error))


@pytest.mark.slow
@needs_real_data
def test_real_cifar10():
    dataset = loaded_or_skipped(load_cifar10)
    assert [len(split) for split in parts(dataset)] == [45_000, 5_000, 10_000]
    for split, count in zip(parts(dataset), (4500, 500, 1000)):
        assert split.labels.bincount().tolist() == [count] * 10
    assert dataset.test.labels[:5].tolist() == [3, 8, 8, 0, 6]  # cat, ship, ship, airplane, frog
    images = torch.cat([dataset.train.images, dataset.validation.images])
    assert_statistics(images, CIFAR10_STATISTICS)


@needs_real_data
def test_real_mnist():
    dataset = loaded_or_skipped(load_mnist)
    assert [len(split) for split in parts(dataset)] == [54_000, 6_000, 10_000]
    assert dataset.validation.labels.bincount().tolist() == [600] * 10
    assert dataset.test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    images = torch.cat([dataset.train.images, dataset.validation.images])
    assert_statistics(images, MNIST_STATISTICS)


def assert_statistics(images, statistics):
    for c in range(images.shape[1]):
        values = images[:, c].double() / 255
        assert float(values.mean()) == pytest.approx(statistics[0][c], abs=5e-5)
        assert float(values.std()) == pytest.approx(statistics[1][c], abs=5e-5)


# ---- batches ----------------------------------------------------------------------------------


def test_loaders_go_through_each_split_once(digits):
    for loader, split in zip(loaders(digits.scaled(), 64, seed=1), parts(digits.scaled())):
        sizes = [len(labels) for _, labels in loader]
        assert sizes == [64] * (len(split) // 64) + [len(split) % 64]
        assert rows(torch.cat([images for images, _ in loader])) == rows(split.images)


def test_only_training_batches_are_shuffled_by_the_seed_and_by_the_epoch(digits):
    first, second, other = (loaders(digits, 64, seed) for seed in (1, 1, 2))

    def order(loader):
        return torch.cat([labels for _, labels in loader]).tolist()

    epoch_1, epoch_2 = order(first.train), order(first.train)
    assert epoch_1 == order(second.train)
    assert epoch_1 != epoch_2
    assert epoch_1 != order(other.train)
    assert order(first.test) == digits.test.labels.tolist()
    assert order(first.validation) == digits.validation.labels.tolist()


def test_loaders_normalize_bytes_and_keep_floats(digits):
    assert torch.equal(loaders(digits, 360).test.dataset[3][0], digits.normalised().test.images[3])
    assert torch.equal(
        loaders(digits.scaled(), 360).test.dataset[3][0], digits.scaled().test.images[3]
    )


def test_loaders_leave_the_global_generator_alone(digits):
    before = torch.get_rng_state()
    loader = loaders(digits, 64).train
    after_making = torch.get_rng_state()
    assert torch.equal(before, after_making)
    next(iter(TensorBatches(digits, digits.train, 8, 0, flip_and_crop)))
    assert torch.equal(before, torch.get_rng_state())
    next(iter(loader))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("make", [loaders, lambda d, n: TensorBatches(d, d.test, n)])
def test_batch_size_must_be_positive(digits, make):
    with pytest.raises(ValueError, match="batch_size"):
        make(digits, 0)


def test_tensor_batches_give_what_loaders_give(digits):
    batches = TensorBatches(digits, digits.test, 64)
    assert len(batches) == len(list(batches)) == 6
    for (images, labels), (expected, classes) in zip(batches, loaders(digits, 64).test):
        assert torch.equal(images, expected)
        assert torch.equal(labels, classes)


def test_tensor_batches_depend_on_seed_and_epoch_alone(digits):
    def epoch(batches):
        return torch.cat([images for images, _ in batches])

    batches = TensorBatches(digits, digits.train, 100, 3, flip_and_crop)
    first, second = epoch(batches), epoch(batches)
    assert not torch.equal(first, second)
    batches.epoch = 0
    assert torch.equal(epoch(batches), first)
    again = TensorBatches(digits, digits.train, 100, 3, flip_and_crop)
    again.epoch = 1
    assert torch.equal(epoch(again), second)
    assert not torch.equal(epoch(TensorBatches(digits, digits.train, 100, 4, flip_and_crop)), first)


def test_augmentation_without_a_seed_is_refused(digits):
    with pytest.raises(ValueError, match="seed"):
        TensorBatches(digits, digits.train, 8, augmentation=random_flip)


def test_take_keeps_images_and_labels_together(digits):
    part = digits.test.take(torch.tensor([5, 2]))
    assert isinstance(part, Split)
    assert len(part) == 2
    assert torch.equal(part.images[1], digits.test.images[2])
    assert part.labels.tolist() == digits.test.labels[[5, 2]].tolist()


# ---- augmentation -----------------------------------------------------------------------------


def test_random_flip_mirrors_about_half_of_the_images():
    images = torch.rand(400, 2, 3, 5)
    flipped = random_flip(images, torch.Generator().manual_seed(0))
    mirrored = sum(torch.equal(a, b.flip(-1)) for a, b in zip(flipped, images))
    kept = sum(torch.equal(a, b) for a, b in zip(flipped, images))
    assert mirrored + kept == 400
    assert 150 < mirrored < 250


def test_random_crop_shifts_each_image_as_a_whole():
    images = torch.rand(60, 2, 6, 7) + 1
    cropped = random_crop(images, torch.Generator().manual_seed(0), padding=2)
    shifts = set()
    for crop, image in zip(cropped, images):
        padded = torch.zeros(2, 10, 11)
        padded[:, 2:8, 2:9] = image
        matches = [
            (y, x)
            for y in range(5)
            for x in range(5)
            if torch.equal(crop, padded[:, y : y + 6, x : x + 7])
        ]
        assert len(matches) == 1
        shifts.update(matches)
    assert len(shifts) > 15


def test_random_crop_takes_windows_of_a_size():
    images = torch.rand(300, 2, 6, 7)
    windows = random_crop(images, torch.Generator().manual_seed(0), padding=0, size=4)
    assert windows.shape == (300, 2, 4, 4)
    corners = set()
    for window, image in zip(windows, images):
        matches = [
            (y, x)
            for y in range(3)
            for x in range(4)
            if torch.equal(window, image[:, y : y + 4, x : x + 4])
        ]
        assert len(matches) == 1
        corners.update(matches)
    assert len(corners) == 12


def test_random_crop_refuses_a_window_that_is_too_large():
    with pytest.raises(ValueError, match="size: expected at most 8, got 9"):
        random_crop(torch.rand(1, 1, 6, 7), torch.Generator(), padding=1, size=9)


def test_augmentation_is_decided_by_its_generator():
    images = torch.rand(8, 3, 8, 8)
    first, second = (flip_and_crop(images, torch.Generator().manual_seed(9)) for _ in range(2))
    assert torch.equal(first, second)
