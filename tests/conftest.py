"""Options of the kit's own tests."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """`pytest --update-goldens` writes the golden files anew; review the diff."""
    parser.addoption("--update-goldens", action="store_true", help="write golden files anew")
