"""Small changes of the test images: an entry that memorized the images loses accuracy here.

Labels cost almost nothing to store, so accuracy on the stored test images alone can be bought.
The seeds follow from the file's bytes and the secret of the course (`scorer.draw_seeds`).

The changes are small, since a network that was trained with the usual augmentation is to lose
little: what it loses is the room in which memorised images go unseen.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from shared.datasets import DATASETS, Perturbation

Images = NDArray[np.uint8]


def perturb(images: Images, dataset: str, max_value: int, seed: int) -> Images:
    """Perturbed copies of uint8 images (N, C, H, W) with values 0..max_value.

    `shared.datasets` says how much: mirrored or not, shifted, cropped and enlarged again, brighter
    or darker, noisy.
    """
    how = DATASETS[dataset].perturbation
    generator = torch.Generator().manual_seed(seed)
    changed = torch.from_numpy(images).float()
    if how.mirror or how.shift or how.zoom:
        changed = _moved(changed, how, generator)
    if how.brightness:
        factors = 1 + how.brightness * _uniform(len(changed), generator)
        changed = changed * factors.view(-1, 1, 1, 1)
    changed = changed + how.noise * torch.randn(changed.shape, generator=generator)
    return changed.round().clamp(0, max_value).to(torch.uint8).numpy()


def _uniform(count: int, generator: torch.Generator) -> Tensor:
    """In -1..1."""
    return 2 * torch.rand(count, generator=generator) - 1


def _moved(images: Tensor, how: Perturbation, generator: torch.Generator) -> Tensor:
    """Mirror, shift and crop in one resampling; the border is repeated.

    Bicubic, because bilinear resampling between pixels blurs: another change, which alone costs an
    ordinary network three points.
    """
    n, _, height, width = images.shape
    zoom = 1 - how.zoom * torch.rand(n, generator=generator)
    mirrored = torch.rand(n, generator=generator) < 0.5
    mirror = torch.where(mirrored & torch.tensor(how.mirror), -1.0, 1.0)
    matrices = torch.zeros(n, 2, 3)
    matrices[:, 0, 0] = zoom * mirror
    matrices[:, 1, 1] = zoom
    matrices[:, 0, 2] = 2 * how.shift / width * _uniform(n, generator)
    matrices[:, 1, 2] = 2 * how.shift / height * _uniform(n, generator)
    grid = F.affine_grid(matrices, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, "bicubic", padding_mode="border", align_corners=False)
