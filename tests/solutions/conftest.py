"""The modules of the final project's starter."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from tests.support import ROOT

MODULES = (
    *("norms", "quantised", "network", "recipes", "channels", "pieces", "export"),
    *("soft_labels", "windows", "teacher", "plans", "train"),
)


@pytest.fixture(scope="module")
def kit() -> Iterator[SimpleNamespace]:
    """The modules of the starter, imported as a student's script imports them."""
    folder = str(ROOT / "solutions" / "s7_final_project")
    sys.path.insert(0, folder)
    try:
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in MODULES})
    finally:
        sys.path.remove(folder)
        for name in MODULES:
            sys.modules.pop(name, None)
