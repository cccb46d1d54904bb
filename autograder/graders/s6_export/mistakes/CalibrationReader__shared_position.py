"""All readers share one position.

Source: own.
"""

class CalibrationReader:

    def __init__(self, batches: Sequence[Array], input_name: str) -> None:
        if not len(batches):
            raise ValueError("batches: expected at least one, got none")
        self._batches = batches
        self._input_name = input_name
        CalibrationReader._next = 0

    def get_next(self) -> dict[str, Array] | None:
        if self._next == len(self._batches):
            return None
        batch = self._batches[self._next]
        CalibrationReader._next += 1
        return {self._input_name: batch}

    def rewind(self) -> None:
        CalibrationReader._next = 0
