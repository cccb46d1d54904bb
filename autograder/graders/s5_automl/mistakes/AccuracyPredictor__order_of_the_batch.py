"""Predictions depend on what else is asked for: they are standardised within one call.

Source: own.
"""

import numpy as np


class AccuracyPredictor:
    def fit(self, codes, accuracies):
        if not len(codes) or len(codes) != len(accuracies):
            raise ValueError(f"{len(codes)} codes and {len(accuracies)} accuracies")
        self.codes = np.array(codes)
        y = np.array(accuracies, dtype=float)
        self.mean = y.mean()
        kernel = self._kernel(self.codes) + 0.02 * np.eye(len(y))
        self.dual = np.linalg.solve(kernel, y - self.mean)

    def _kernel(self, codes):
        differ = (np.asarray(codes)[:, None] != self.codes[None]).sum(2)
        return np.exp(-0.8 * differ)

    def _standard(self, values):
        return ((values - values.mean()) / (values.std() + 1e-9)).tolist()

    def predict(self, codes):
        return self._standard(self._kernel(codes) @ self.dual)
