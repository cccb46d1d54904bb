"""Perturbed images against a slow reference that samples each pixel by the formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from autograder.project import perturb as module
from autograder.project.perturb import perturb
from shared.datasets import DATASETS, DatasetInfo, Perturbation

Pixels = NDArray[np.float64]


def images(count: int = 5, size: tuple[int, int] = (12, 9)) -> NDArray[np.uint8]:
    drawn = np.random.default_rng(0).integers(40, 200, (count, 2, *size))
    return drawn.astype(np.uint8)


def weights(fraction: float) -> list[float]:
    """Of four neighbours, for cubic convolution (Keys 1981) with a = -0.75, as torch has it."""
    a = -0.75

    def kernel(x: float) -> float:
        x = abs(x)
        if x <= 1:
            return (a + 2) * x**3 - (a + 3) * x**2 + 1
        return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a

    return [kernel(fraction + 1), kernel(fraction), kernel(1 - fraction), kernel(2 - fraction)]


def taps(at: float, size: int) -> list[tuple[int, float]]:
    """(index, weight) along one axis; beyond the border its last pixel is repeated."""
    low = int(np.floor(at))
    return [
        (min(max(low + offset - 1, 0), size - 1), weight)
        for offset, weight in enumerate(weights(at - low))
    ]


def moved(image: Pixels, zoom: float, mirror: bool, right: float, down: float) -> Pixels:
    """Pixel (y, x) shows what lay `zoom` times as far from the middle, then `right` and `down`."""
    _, height, width = image.shape
    out = np.zeros_like(image)
    for y in range(height):
        for x in range(width):
            from_middle = (x + 0.5 - width / 2) * zoom * (-1 if mirror else 1)
            rows = taps((y + 0.5 - height / 2) * zoom + down + height / 2 - 0.5, height)
            columns = taps(from_middle + right + width / 2 - 0.5, width)
            for row, a in rows:
                for column, b in columns:
                    out[:, y, x] += a * b * image[:, row, column]
    return out


def reference(given: NDArray[np.uint8], how: Perturbation, most: int, seed: int) -> Pixels:
    """The draws in their order: zoom, mirror, two shifts, brightness, noise."""
    generator = torch.Generator().manual_seed(seed)

    def draws() -> Pixels:
        return torch.rand(len(given), generator=generator).double().numpy()

    changed = given.astype(np.float64)
    if how.mirror or how.shift or how.zoom:
        zooms, mirrors, rights, downs = draws(), draws(), draws(), draws()
        changed = np.stack(
            [
                moved(
                    image,
                    1 - how.zoom * zooms[i],
                    how.mirror and bool(mirrors[i] < 0.5),
                    how.shift * (2 * rights[i] - 1),
                    how.shift * (2 * downs[i] - 1),
                )
                for i, image in enumerate(changed)
            ]
        )
    if how.brightness:
        changed *= (1 + how.brightness * (2 * draws() - 1))[:, None, None, None]
    noise = torch.randn(changed.shape, generator=generator).double().numpy()
    return np.clip(np.round(changed + how.noise * noise), 0, most)


EFFECTS = {
    "noise": Perturbation(noise=3.0),
    "mirror": Perturbation(noise=0.0, mirror=True),
    "shift": Perturbation(noise=0.0, shift=2.0),
    "zoom": Perturbation(noise=0.0, zoom=0.3),
    "brightness": Perturbation(noise=0.0, brightness=0.25),
    "all": Perturbation(noise=1.0, mirror=True, shift=1.5, zoom=0.2, brightness=0.1),
    "nothing": Perturbation(noise=0.0),
}


@pytest.mark.parametrize("name", EFFECTS)
@pytest.mark.parametrize("seed", [1, 2])
def test_images_are_those_of_the_reference(
    monkeypatch: pytest.MonkeyPatch, name: str, seed: int
) -> None:
    info = DATASETS["digits"]
    changed = DatasetInfo(
        info.loader, info.input_shape, 16, info.classes, info.test_images, EFFECTS[name]
    )
    monkeypatch.setattr(module, "DATASETS", {"some": changed})
    actual = perturb(images(), "some", 190, seed)
    expected = reference(images(), EFFECTS[name], 190, seed)
    assert actual.dtype == np.uint8
    # float32 there, float64 here: what lies at half a level may be rounded either way
    assert np.abs(actual - expected).max() <= 1
    assert np.mean(actual != expected) < 0.002


@pytest.mark.parametrize("name", DATASETS)
def test_the_data_sets_of_the_course(name: str) -> None:
    info = DATASETS[name]
    shape = info.input_shape
    drawn = np.random.default_rng(1).integers(0, info.max_value + 1, (3, *shape)).astype(np.uint8)
    actual = perturb(drawn, name, info.max_value, 7)
    expected = reference(drawn, info.perturbation, info.max_value, 7)
    assert np.abs(actual - expected).max() <= 1
    assert np.mean(actual != expected) < 0.002
