# Generated from solutions/s7_final_project/soft_labels.py by `autograder release`: change it there.
"""A teacher's answers, stored once: students learn from the file and never run the teacher.

What a teacher says of a part of an image tells more than a label of the whole, if the student
looks at the same part (Beyer et al., "Knowledge distillation: a good teacher is patient and
consistent", CVPR 2022).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from shared.training import save_whole


@dataclass(frozen=True)
class SoftLabels:
    """Logits of `views` windows of each image: `places` uint8 (views, N), as in `windows.cut`.

    `logits` are float16 (views, N, classes).
    """

    places: Tensor
    logits: Tensor

    def to(self, device: torch.device | str) -> SoftLabels:
        """The same on another device."""
        return SoftLabels(self.places.to(device), self.logits.to(device))

    def look_up(self, indices: Tensor, turns: Tensor) -> tuple[Tensor, Tensor]:
        """Places int64 (n,) and logits float32 (n, classes) of some images.

        Args:
            indices: of the images, int64 (n,).
            turns: int64 (n,); every view of an image comes once in as many turns.
        """
        view = turns % len(self.places)
        return self.places[view, indices].long(), self.logits[view, indices].float()


def places(views: int, images: int, offsets: int) -> Tensor:
    """Different places for each image, in random order: uint8 (views, images).

    Raises ValueError if there are fewer places than views.
    """
    if views > offsets**2:
        raise ValueError(f"views: expected at most {offsets**2} for {offsets} offsets, got {views}")
    draws = torch.rand(images, offsets**2, generator=torch.Generator().manual_seed(0))
    return draws.argsort(dim=1)[:, :views].T.to(torch.uint8).contiguous()


def store(
    answer: Callable[[Tensor], Tensor], path: Path, views: int, images: int, offsets: int
) -> SoftLabels:
    """Ask for every view and write all to `path`; go on where an interrupted call stopped.

    With more `views` later, only the new ones are asked for.

    Args:
        answer: from places int64 (images,) to logits (images, classes).
        path: of the file, written after each view.

    Raises:
        ValueError: the file holds other images.
    """
    chosen = places(views, images, offsets)
    done: list[Tensor] = []
    if path.is_file():
        known = load(path)
        if not torch.equal(known.places[:views], chosen[: len(known.places)]):
            raise ValueError(f"{path}: holds other images; delete or rename it")
        done = list(known.logits[:views])
    for view in chosen[len(done) :]:
        done.append(answer(view.long()).to("cpu", torch.float16))
        soft = SoftLabels(chosen[: len(done)], torch.stack(done))
        save_whole(asdict(soft), path)
    return SoftLabels(chosen, torch.stack(done))


def load(path: Path) -> SoftLabels:
    """What `store` wrote."""
    return SoftLabels(**torch.load(path, weights_only=True))
