"""MACs and parameters by this kit and by other profilers, on the same torchvision models.

    .cache/peers/bin/python -m benchmarks.profilers                 a sample, every profiler
    .cache/peers/bin/python -m benchmarks.profilers --models all --only "this kit" flop-counter

The reference is torchvision's own table: `meta["_ops"]` (GMACs, three decimals) and
`meta["num_params"]` of every classification weight; nothing is downloaded. Each profiler gets a
freshly built model and an input of the weight's size, in one process, one after the other. Those
that can work on the meta device do: it is part of what they cost.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision import models

from shared.profiling import profile

SAMPLE = [
    "alexnet",
    "vgg11",
    "squeezenet1_1",
    "googlenet",
    "inception_v3",
    "shufflenet_v2_x1_0",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "mnasnet0_5",
    "resnet18",
    "resnext50_32x4d",
    "densenet121",
    "efficientnet_b0",
    "regnet_y_400mf",
    "convnext_tiny",
    "swin_t",
    "vit_b_16",
]
TOLERANCE = 0.001  # relative, or half a unit of the table's last digit
LAST_DIGIT = 0.00051

Entry = tuple[str, Any]
"""Builder's name and weight, a line of torchvision's table."""

Counts = tuple[float, int | None]
"""GMACs, and parameters where the profiler tells."""


def _kit(model: nn.Module, x: Tensor) -> Counts:
    profiled = profile(model, x)
    return profiled.macs / 1e9, profiled.params


def _flop_counter(model: nn.Module, x: Tensor) -> Counts:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(x)
    return counter.get_total_flops() / 2e9, None


def _fvcore(model: nn.Module, x: Tensor) -> Counts:
    from fvcore.nn import FlopCountAnalysis, parameter_count

    return FlopCountAnalysis(model, x).total() / 1e9, parameter_count(model)[""]


def _ptflops(model: nn.Module, x: Tensor) -> Counts:
    from ptflops import get_model_complexity_info

    macs, params = get_model_complexity_info(
        model, tuple(x.shape[1:]), as_strings=False, print_per_layer_stat=False, verbose=False
    )
    return float(macs or 0) / 1e9, int(params or 0)


def _thop(model: nn.Module, x: Tensor) -> Counts:
    import thop

    macs, params = thop.profile(model, (x,), verbose=False)
    return macs / 1e9, int(params)


def _torchinfo(model: nn.Module, x: Tensor) -> Counts:
    import torchinfo

    summary = torchinfo.summary(model, input_data=x, verbose=0, device=x.device)
    return summary.total_mult_adds / 1e9, summary.total_params


@dataclass(frozen=True)
class Profiler:
    """One way to count; `device` is where it gets model and input."""

    count: Callable[[nn.Module, Tensor], Counts]
    device: str


PROFILERS: dict[str, Profiler] = {
    "this kit": Profiler(_kit, "meta"),
    "flop-counter": Profiler(_flop_counter, "meta"),
    "flop-counter, CPU": Profiler(_flop_counter, "cpu"),
    "fvcore": Profiler(_fvcore, "cpu"),
    "ptflops": Profiler(_ptflops, "cpu"),
    "thop": Profiler(_thop, "cpu"),
    "torchinfo": Profiler(_torchinfo, "cpu"),
}


@dataclass
class Tally:
    """How one profiler did: models it counted right, wrong, and could not count; seconds."""

    right: int = 0
    params_right: int = 0
    wrong: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    seconds: float = 0.0


def entries_of(names: list[str]) -> list[Entry]:
    """The first weight of each of the models; of every model all weights, for "all"."""
    if names != ["all"]:
        return [(name, next(iter(models.get_model_weights(name)))) for name in names]
    known = models.list_models(module=models)
    return [(name, weight) for name in known for weight in models.get_model_weights(name)]


def build(entry: Entry, device: str) -> tuple[nn.Module, Tensor]:
    """The model of a table's entry without its weights, and an input of its size."""
    name, weight = entry
    size = weight.transforms().crop_size[0]
    options: dict[str, Any] = {}
    if name in ("googlenet", "inception_v3"):
        options["init_weights"] = False
    if name == "googlenet":
        options["aux_logits"] = False  # its table leaves the training-time heads out
    if name.startswith("vit_"):
        options["image_size"] = size
    # RegNets compute with their weights while they are built, which meta tensors cannot.
    with torch.device("cpu" if name.startswith("regnet") else device):
        model = models.get_model(name, weights=None, **options)
    return model.to(device).eval(), torch.zeros(1, 3, size, size, device=device)


def measure(profiler: Profiler, entries: list[Entry], tell: Callable[[str], None]) -> Tally:
    """Count every model with one profiler, the first once more before, for what it imports."""
    tally = Tally()
    with contextlib.suppress(Exception), _silent():
        profiler.count(*build(entries[0], profiler.device))
    for entry in entries:
        name, weight = entry
        label = f"{name} {weight.name}"
        model, x = build(entry, profiler.device)
        started = time.perf_counter()
        try:
            with _silent():
                gmacs, params = profiler.count(model, x)
        except Exception as error:
            tally.failed.append(f"{label}: {type(error).__name__}")
            continue
        finally:
            tally.seconds += time.perf_counter() - started
        expected = weight.meta["_ops"]
        tally.params_right += params == weight.meta["num_params"]
        if abs(gmacs - expected) <= max(LAST_DIGIT, TOLERANCE * expected):
            tally.right += 1
        else:
            tally.wrong.append(f"{label}: {gmacs:.3f} for {expected:.3f}")
        tell(label)
    return tally


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Profilers that print do so into nothing."""
    sink = io.StringIO()
    with contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
        yield


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=SAMPLE, help="names, or: all")
    parser.add_argument("--only", nargs="+", choices=PROFILERS, default=list(PROFILERS))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    console = Console()
    entries = entries_of(options.models)
    table = Table(title=f"{len(entries)} models of torchvision", title_justify="left")
    for head in ("profiler", "MACs right", "params right", "failed", "seconds"):
        table.add_column(head, justify="left" if head == "profiler" else "right")
    for name in options.only:
        with console.status(name) as status:
            tally = measure(PROFILERS[name], entries, status.update)
        tells = "" if name.startswith("flop-counter") else str(tally.params_right)
        row = (name, str(tally.right), tells, str(len(tally.failed)), f"{tally.seconds:.1f}")
        table.add_row(*row)
        for line in (*tally.wrong, *tally.failed):
            console.print(f"  {name}: {line}", highlight=False, markup=False)
    console.print(table)


if __name__ == "__main__":
    main()
