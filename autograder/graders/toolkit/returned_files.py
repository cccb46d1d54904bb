"""Files that a student's function returned: read and run where none of the student's code is.

    files = ReturnedFiles(student)
    model = files.returned("export_onnx", network, sample)
    outputs = files.outputs(model, "input", [images])

Nothing that is done with them happens in the judge, which must not parse what a stranger wrote.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from autograder.graders.toolkit.expectations import describe, fail
from autograder.graders.toolkit.failures import StudentError

_THERE = "autograder.project.returned_files"

HAS_TENSORRT = importlib.util.find_spec("tensorrt_rtx") is not None
"""Whether engines can be built on this machine."""


class ReturnedFiles:
    """A worker without the student's code, and the student."""

    def __init__(self, student: Any) -> None:
        self._student = student
        self._worker = student.clean()

    def returned(self, name: str, *args: Any, **kwargs: Any) -> bytes:
        """What the student's function returns: bytes, or the check fails."""
        value = self._student.file(name, *args, **kwargs)
        if not isinstance(value, bytes):
            fail(f"{name} should return bytes, yours is {describe(value)}")
        return value

    def outputs(self, model: bytes, name: str, batches: Sequence[Any]) -> list[Any]:
        """The first output for each value of the input `name`, from ONNX Runtime.

        Graph optimisations are disabled.
        """
        values = self._ask("outputs", "ONNX Runtime cannot run the file", model, name, batches)
        if not isinstance(values, list) or len(values) != len(batches):
            fail("the file could not be run")
        if not all(isinstance(value, np.ndarray) for value in values):
            fail("the output should be an array")
        return values

    def facts(self, model: bytes) -> dict[str, Any]:
        """Inputs, outputs, opset, foreign domains, whether data lies elsewhere.

        The check fails if the file does not pass ONNX's own full check.
        """
        facts: dict[str, Any] = self._ask("facts", "the file cannot be read", model)
        if facts["problem"]:
            fail(f"onnx.checker refuses the file: {facts['problem']}")
        return facts

    def operators(self, model: bytes) -> dict[str, int]:
        """Type of operator -> number of nodes."""
        kinds: dict[str, int] = self._ask("operators", "the file cannot be read", model)
        return kinds

    def initializers(self, model: bytes) -> dict[str, list[Any]]:
        """Name -> [type, shape, digest]."""
        found: dict[str, list[Any]] = self._ask("initializers", "the file cannot be read", model)
        return found

    def types(self, model: bytes) -> dict[str, int]:
        """Type of stored tensors -> elements."""
        found: dict[str, int] = self._ask("types", "the file cannot be read", model)
        return found

    def stored(self, model: bytes, image: Sequence[int], classes: int) -> list[list[int]]:
        """[elements, nonzeros, bits] of each stored tensor, as the final project counts them."""
        hint = "the file cannot be measured"
        found: list[list[int]] = self._ask("stored", hint, model, list(image), classes)
        return found

    def engine(
        self, model: bytes, targets: Sequence[str], profile: Sequence[Any] | None, workspace: int
    ) -> bytes:
        """The engine that a new process builds, comparable."""
        worker = self._student.clean()
        call = f"{_THERE}:engine"
        engine: bytes = worker.run(call, model, list(targets), profile, workspace)
        return engine

    def digest(self, data: bytes) -> str:
        """The SHA-256 of bytes: what a known mistake is told by where bytes are all there is."""
        return str(self._ask("digest", "the file cannot be read", data))

    def left_behind(self) -> list[str]:
        """What lies in the student's working folder, which is the temporary one too."""
        return [str(name) for name in self._student.run("os:listdir", ".")]

    def _ask(self, function: str, trouble: str, *args: Any) -> Any:
        try:
            return self._worker.run(f"{_THERE}:{function}", *args)
        except StudentError as error:
            line = " ".join(error.text.split())[:200] or error.kind
            fail(f"{trouble}: {line}")


def comparable(engine: bytes) -> bytes:
    """An engine without the numbers in generated names, which differ from build to build."""
    return re.sub(rb"__mye\d+", b"__mye", engine)
