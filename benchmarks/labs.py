"""Run a lab sheet with the model solution, on any of its data sets, and keep its figures.

    python -m benchmarks.labs s2 --dataset mnist --figures build/s2

What it prints are the sheet's own tables: for session 2 accuracy and bytes of post-training
quantisation from 8 to 2 bits with and without fine-tuning, and of large sparse against small
dense networks. A minute on the digits, ten to twenty on MNIST or CIFAR-10 (COURSE_DATA).
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT

DATASETS = ("digits", "mnist", "cifar10")


def script(sheet: Path, dataset: str | None) -> str:
    """The code of a lab sheet as a plain script, on one data set if the sheet has the choice.

    Raises ValueError if it has none; such a sheet takes what COURSE_DATA offers.
    """
    text = re.sub(r"^# %matplotlib.*$", "", sheet.read_text(encoding="utf-8"), flags=re.M)
    if dataset is None:
        return text
    text, count = re.subn(r'^DATASET = "\w+"', f'DATASET = "{dataset}"', text, flags=re.M)
    if count != 1:
        raise ValueError(f"{sheet}: expected one line DATASET = …, got {count}")
    return text


def main() -> None:
    """Read the arguments, run the sheet, write its figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    sheets = {path.parent.name[:2]: path for path in sorted(ROOT.glob("solutions/*/lab.py"))}
    parser.add_argument("session", choices=sheets)
    parser.add_argument("--dataset", choices=DATASETS)
    parser.add_argument("--figures", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    os.environ["MPLBACKEND"] = "Agg"
    sheet = sheets[options.session]
    sys.path.insert(0, str(sheet.parent))
    started = time.process_time()
    figures = _kept_figures()
    space: dict[str, object] = {"__name__": "__main__"}
    exec(compile(script(sheet, options.dataset), str(sheet), "exec"), space)
    print(f"{time.process_time() - started:.0f} s of processor time")
    if options.figures is not None:
        options.figures.mkdir(parents=True, exist_ok=True)
        for number, figure in enumerate(figures, start=1):
            figure.savefig(options.figures / f"figure{number}.png", dpi=120)


def _kept_figures() -> list[Any]:
    """A list that gets every figure that is made from now on: a notebook would show them."""
    from matplotlib.figure import Figure

    made: list[Any] = []
    begin = Figure.__init__

    def remember(self: Any, *args: Any, **kwargs: Any) -> None:
        made.append(self)
        begin(self, *args, **kwargs)

    Figure.__init__ = remember  # type: ignore[method-assign]
    return made


if __name__ == "__main__":
    main()
