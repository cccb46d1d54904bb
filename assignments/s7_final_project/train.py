# Generated from solutions/s7_final_project/train.py by `autograder release`: change it there.
"""Train the reference solution, one step after the other:

    teacher   a larger network that learns from the labels        teacher.pt
    labels    its answers on many windows of each image           labels.pt
    float     the small network, in floating point                float-1.pt, ...
    low       channels removed, quantised, pruned in rounds       quantised-1.pt, ..., model.onnx

    python train.py --dataset digits --out build/digits        a minute
    COURSE_DATA=... python train.py --dataset cifar10 --out build/cifar10

Everything is written after each epoch or view; the same command goes on where it stopped. The last
two steps need labels.pt alone and learn from nothing else. With --start only the last one is done:

    COURSE_DATA=... python train.py --dataset cifar10 --start reference/float.pt --out ...
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import soft_labels
import torch
from channels import slimmed
from export import export_submission
from network import SmallResNet
from plans import OTHER_STUDENTS, PLANS, Plan, both, build, build_teacher, chosen, prepare
from recipes import PruneInRounds, distillation, start_quantising
from soft_labels import SoftLabels
from teacher import WHITENING_IMAGES, Teacher
from torch import Tensor, nn
from windows import GrowingWindows, Windows, cut, epochs

from shared.data import Dataset, Split, TensorBatches, normalise, to_float
from shared.training import Recipe, train

STEPS = ("teacher", "labels", "float", "low")
IMPORTANCE_BATCHES = 16  # of 250 images, to find the channels that matter least
ANSWER_BATCH = 500


@dataclass(frozen=True)
class Training:
    """The steps on one data set. `held_out` images, if any, are measured every epoch."""

    plan: Plan
    data: Dataset
    images: Split
    held_out: TensorBatches | None
    out: Path
    device: str = "cpu"
    mixed_precision: bool = False
    seed: int = 0

    def batches(
        self, phase: Windows, batch_size: int, soft: SoftLabels | None = None
    ) -> TensorBatches:
        """The training images of one phase, on the device, with labels or a teacher's logits."""
        return GrowingWindows(
            self.data,
            self.images,
            batch_size,
            phase,
            self.plan.changes,
            soft,
            self.device,
            self.seed,
        )

    def trained_teacher(self) -> Teacher:
        """The trained teacher, in eval mode; checkpoints in teacher.pt."""
        plan = self.plan.teacher
        model = build_teacher(self.plan, self.seed)
        model.whiten(self._pixels(self.images.images[:WHITENING_IMAGES]))
        recipe = Recipe(
            epochs(plan.phase),
            plan.lr,
            warmup=2,
            weight_decay=plan.weight_decay,
            label_smoothing=plan.label_smoothing,
        )
        model.to(self.device)
        self._train(model, self.batches(plan.phase, plan.batch_size), recipe, "teacher.pt")
        return model.eval()

    def soft_labels(self, teacher: Teacher) -> SoftLabels:
        """What the teacher says of all training and validation images, in labels.pt.

        It looks at the whole image wherever a student's smaller window lies; a held-out image is
        asked about too, so that the file also serves a last training without `--hold-out`.
        """
        images = both(self.data).images
        views, offsets = self.plan.teacher.views, self.plan.changes.offsets
        side, fill = images.shape[-1], (self.data.peak + 1) // 2

        @torch.inference_mode()
        def answer(places: Tensor) -> Tensor:
            answers = []
            for some, where in zip(images.split(ANSWER_BATCH), places.split(ANSWER_BATCH)):
                batch = self._pixels(cut(some, where, side, offsets, fill)).to(self.device)
                with torch.autocast(batch.device.type, torch.bfloat16, self.mixed_precision):
                    answers.append(teacher(batch).float().cpu())
            return torch.cat(answers)

        return soft_labels.store(answer, self.out / "labels.pt", views, len(images), offsets)

    def in_floating_point(self, model: SmallResNet, soft: SoftLabels) -> None:
        """Train `model` in place; checkpoints in float-1.pt and so on."""
        plan = self.plan
        recipe = Recipe(0, plan.lr, warmup=2, weight_decay=plan.float_decay)
        self._distil(model, plan.float_cycles, soft, recipe, "float")

    def with_fewer_channels(self, model: SmallResNet) -> SmallResNet:
        """What is left of `model` under the plan's `max_macs`; `model` itself without one."""
        if self.plan.max_macs is None:
            return model
        batches = TensorBatches(self.data, self.images, 250, seed=0, device=self.device)
        some = itertools.islice(iter(batches), IMPORTANCE_BATCHES)
        return slimmed(model, some, self.image_shape, self.plan.max_macs)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        channels, height, width = self.data.test.images.shape[1:]
        return channels, height, width

    def at_low_precision(self, model: SmallResNet, teacher: SoftLabels | SmallResNet) -> None:
        """Quantise `model` and go on training; it is pruned in the first cycle.

        Checkpoints in quantised-1.pt and so on.
        """
        plan = self.plan
        start_quantising(model, plan.bits, plan.edge_bits, plan.weight_bits)
        first = plan.quantised_cycles[0]
        steps = epochs(first) * len(self.batches(first, plan.batch_size))
        rounds = PruneInRounds(model, plan.sparsity, steps)
        recipe = Recipe(0, plan.quantised_lr, weight_decay=plan.quantised_decay)
        self._distil(model, plan.quantised_cycles, teacher, recipe, "quantised", after_step=rounds)

    def _distil(
        self,
        model: SmallResNet,
        cycles: Sequence[Windows],
        teacher: SoftLabels | SmallResNet,
        recipe: Recipe,
        name: str,
        **options: Any,
    ) -> None:
        """Learn from `teacher`, each cycle from half the learning rate of the one before.

        Warm restarts as in SGDR, Loshchilov & Hutter (2017).
        """
        stored, network = (teacher, None) if isinstance(teacher, SoftLabels) else (None, teacher)
        objective = distillation(self.plan.temperature, network)
        for cycle, phase in enumerate(cycles):
            batches = self.batches(phase, self.plan.batch_size, stored)
            own = replace(recipe, epochs=epochs(phase), lr=recipe.lr / 2**cycle)
            checkpoint = f"{name}-{cycle + 1}.pt"
            self._train(model, batches, own, checkpoint, objective=objective, **options)

    def _train(
        self, model: nn.Module, batches: TensorBatches, recipe: Recipe, name: str, **options: Any
    ) -> None:
        train(
            model,
            batches,
            self.held_out,
            replace(recipe, mixed_precision=self.mixed_precision, seed=self.seed),
            checkpoint=self.out / name,
            progress=True,
            **options,
        )

    def _pixels(self, images: Tensor) -> Tensor:
        return normalise(to_float(images, self.data.peak), self.data.mean, self.data.std)


def run(
    training: Training,
    steps: Sequence[str],
    labels: Path | None = None,
    start: SmallResNet | None = None,
) -> None:
    """Do `steps` in their order; `labels` is a file instead of the first two.

    `start` is a network that is trained in floating point: then only the last step is done, and it
    is the teacher of what becomes of it.
    """
    teacher: SoftLabels | SmallResNet
    if start is not None:
        model = start.to(training.device)
        teacher = copy.deepcopy(model).eval()
    else:
        if "teacher" in steps and labels is None:
            large = training.trained_teacher()
        if "labels" in steps and labels is None:
            training.soft_labels(large)
        if "float" not in steps:
            return
        teacher = soft_labels.load(labels or training.out / "labels.pt")
        model = build(training.plan, training.seed).to(training.device)
        training.in_floating_point(model, teacher)
    if "low" not in steps:
        return
    model = training.with_fewer_channels(model)
    training.at_low_precision(model, teacher)
    model, shape, peak = model.cpu(), training.image_shape, training.data.peak
    path, engine = training.out / "model.onnx", training.out / "engine.onnx"
    export_submission(model, path, shape, peak)
    export_submission(model, engine, shape, peak, for_tensorrt=True)
    print(f"wrote {path}, and {engine} for TensorRT; now: autograder score {path}")


def trained(plan: Plan, path: Path) -> SmallResNet:
    """The plan's network as a checkpoint in floating point has it, or a file of its state alone.

    Raises SystemExit if there is no such network.
    """
    model = build(plan)
    try:
        state = torch.load(path, weights_only=True)
        model.load_state_dict(state.get("model", state))
    except Exception as error:  # whatever torch makes of any file
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise SystemExit(f"--start: {path} holds no network of this plan ({reason})") from None
    return model


def claim(folder: Path, run_is: str) -> None:
    """Note in `folder` which run it belongs to.

    Raises SystemExit if it is another's: its checkpoints may have learned from held-out images.
    """
    folder.mkdir(parents=True, exist_ok=True)
    note = folder / "run.txt"
    if note.is_file() and note.read_text() != run_is:
        raise SystemExit(f"--out: {folder} holds another run ({note.read_text()}); choose another")
    note.write_text(run_is)


def main() -> None:
    """Read the arguments and train."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", choices=PLANS, default="digits")
    parser.add_argument("--student", help="another one of plans.py, instead of the plan's own")
    parser.add_argument(
        "--length", type=float, default=1.0, help="of a student's training: 0.5 is half the epochs"
    )
    parser.add_argument(
        "--batch-size", type=int, help="of a student's training; its learning rates grow with it"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--until", choices=STEPS, default=STEPS[-1], help="the last step to do")
    parser.add_argument(
        "--labels", type=Path, help="another run's labels.pt: no teacher is trained then"
    )
    parser.add_argument(
        "--start",
        type=Path,
        help="a trained float-1.pt or reference/float.pt: it is the teacher, only `low` is done",
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--hold-out",
        action="store_true",
        help="measure validation images after each epoch instead of training on them too",
    )
    parser.add_argument(
        "--bfloat16",
        action="store_true",
        help="train in mixed precision: fast where the processor has it, very slow elsewhere",
    )
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and windows")
    parser.add_argument("--device", default="cpu", help="cpu, or cuda where there is one")
    options = parser.parse_args()
    others = OTHER_STUDENTS[options.dataset]
    if options.student not in (None, *others):
        parser.error(f"--student: expected one of {', '.join(others)}, got {options.student}")
    torch.set_num_threads(options.threads)
    plan = chosen(options.dataset, options.student, options.length, options.batch_size)
    kind = f"{options.dataset}, hold out: {options.hold_out}, seed: {options.seed}"
    if plan != PLANS[options.dataset]:
        kind += (
            f", student: {options.student or 'own'}, length: {options.length:g}, "
            f"batch size: {plan.batch_size}"
        )
    start = None
    if options.start is not None:
        if options.labels is not None or options.until != STEPS[-1]:
            parser.error("--start: only the last step is done, without --labels or --until")
        start = trained(plan, options.start)
        kind += f", start: {hashlib.sha256(options.start.read_bytes()).hexdigest()[:12]}"
    claim(options.out, kind)
    data, images, held_out = prepare(plan, options.hold_out)
    training = Training(
        plan,
        data,
        images,
        held_out,
        options.out,
        options.device,
        options.bfloat16,
        options.seed,
    )
    run(training, STEPS[: STEPS.index(options.until) + 1], options.labels, start)


if __name__ == "__main__":
    main()
