"""Accuracies that are missing are not noticed.

Source: own.
"""

import numpy as np


class AccuracyPredictor:
    def fit(self, codes, accuracies):
        if not len(codes):
            raise ValueError(f"{len(codes)} codes and {len(accuracies)} accuracies")
        codes = codes[: len(accuracies)]
        self.codes = np.array(codes)
        y = np.array(accuracies, dtype=float)
        self.mean = y.mean()
        kernel = self._kernel(self.codes) + 0.02 * np.eye(len(y))
        self.dual = np.linalg.solve(kernel, y - self.mean)

    def _kernel(self, codes):
        differ = (np.asarray(codes)[:, None] != self.codes[None]).sum(2)
        return np.exp(-0.8 * differ)

    def predict(self, codes):
        return (self._kernel(codes) @ self.dual + self.mean).tolist()
