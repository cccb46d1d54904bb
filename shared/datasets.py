"""The data sets of the final project: one entry says everything that the kit knows of one.

Importing this module imports no torch; `shared.data.load` reads a data set by its name here.
"""

from __future__ import annotations

from dataclasses import dataclass

DATA_FOLDER = "~/course-data"
"""Where real data is looked for unless COURSE_DATA says where it lies."""


@dataclass(frozen=True)
class Perturbation:
    """Small random changes that keep what an image shows.

    `mirror`: half the images, left and right exchanged. `shift`: pixels, either way. `zoom`:
    largest share of the side that a crop takes away. `brightness`: largest relative change.
    `noise`: standard deviation in levels of the data set's own scale.
    """

    noise: float
    mirror: bool = False
    shift: float = 0.0
    zoom: float = 0.0
    brightness: float = 0.0


@dataclass(frozen=True)
class DatasetInfo:
    """A data set of uint8 images (channels, height, width) with values 0..`max_value`.

    `loader` is the function of `shared.data` that reads it.
    """

    loader: str
    input_shape: tuple[int, int, int]
    max_value: int
    classes: int
    test_images: int
    perturbation: Perturbation


DATASETS: dict[str, DatasetInfo] = {
    "cifar10": DatasetInfo(
        loader="load_cifar10",
        input_shape=(3, 32, 32),
        max_value=255,
        classes=10,
        test_images=10_000,
        perturbation=Perturbation(mirror=True, shift=2.0, zoom=0.06, brightness=0.15, noise=2.0),
    ),
    "digits": DatasetInfo(
        loader="load_digits",
        input_shape=(1, 8, 8),
        max_value=16,
        classes=10,
        test_images=360,
        # Noise only: a mirrored or shifted digit of 8x8 pixels is another one.
        perturbation=Perturbation(noise=0.6),
    ),
}
"""By the name that course.yaml and card.yaml use."""
