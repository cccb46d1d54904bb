"""Batches are taken out of the list, so that a second reader finds none.

Source: own.
"""

class CalibrationReader:

    def __init__(self, batches: Sequence[Array], input_name: str) -> None:
        if not len(batches):
            raise ValueError("batches: expected at least one, got none")
        self._batches = batches
        self._input_name = input_name
        self._next = 0

    def get_next(self) -> dict[str, Array] | None:
        if not self._batches:
            return None
        batch = self._batches.pop(0)
        return {self._input_name: batch}

    def rewind(self) -> None:
        self._next = 0
