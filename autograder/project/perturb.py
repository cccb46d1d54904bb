"""Changes that keep what an image shows: whoever memorised the test images loses them here.

Labels cost almost nothing to store, so accuracy on the stored test images alone can be bought.
The seed is drawn when an entry is scored and written into its record.

The changes are small, since a network that was trained with the usual augmentation is to lose
little: what it loses is the room in which memorised images go unseen.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

Images = NDArray[np.uint8]

SHIFT = 2.0  # pixels, either way
ZOOM = 0.06  # largest share of the side that a crop takes away
BRIGHTNESS = 0.15
NOISE = 2.0  # standard deviation in levels of 0..255
DIGITS_NOISE = 0.6  # in levels of 0..16


def perturb(images: Images, dataset: str, peak: int, seed: int) -> Images:
    """Perturbed copies of uint8 images (N, C, H, W) with values 0..peak.

    CIFAR-10: mirrored or not, shifted, cropped and enlarged again, brighter or darker, noisy.
    Digits: noise only, since a mirrored or shifted 8x8 digit is another one.
    """
    generator = torch.Generator().manual_seed(seed)
    changed = torch.from_numpy(images).float()
    noise = DIGITS_NOISE
    if dataset != "digits":
        changed = _moved(changed, generator)
        changed = changed * (1 + BRIGHTNESS * _uniform(len(changed), generator).view(-1, 1, 1, 1))
        noise = NOISE
    changed = changed + noise * torch.randn(changed.shape, generator=generator)
    return changed.round().clamp(0, peak).to(torch.uint8).numpy()


def _uniform(count: int, generator: torch.Generator) -> Tensor:
    """In -1..1."""
    return 2 * torch.rand(count, generator=generator) - 1


def _moved(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror, shift and crop in one resampling; the border is repeated.

    Bicubic, because bilinear resampling between pixels blurs: another change, which alone costs an
    ordinary network three points.
    """
    n, _, height, width = images.shape
    zoom = 1 - ZOOM * torch.rand(n, generator=generator)
    mirror = torch.where(torch.rand(n, generator=generator) < 0.5, -1.0, 1.0)
    matrices = torch.zeros(n, 2, 3)
    matrices[:, 0, 0] = zoom * mirror
    matrices[:, 1, 1] = zoom
    matrices[:, 0, 2] = 2 * SHIFT / width * _uniform(n, generator)
    matrices[:, 1, 2] = 2 * SHIFT / height * _uniform(n, generator)
    grid = F.affine_grid(matrices, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, "bicubic", padding_mode="border", align_corners=False)
