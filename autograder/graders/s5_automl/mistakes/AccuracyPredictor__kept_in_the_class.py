"""What was learnt is kept in the class, and shared by all predictors.

Source: own.
"""

import numpy as np


class AccuracyPredictor:
    def fit(self, codes, accuracies):
        if not len(codes) or len(codes) != len(accuracies):
            raise ValueError(f"{len(codes)} codes and {len(accuracies)} accuracies")
        AccuracyPredictor.codes = np.array(codes)
        y = np.array(accuracies, dtype=float)
        AccuracyPredictor.mean = y.mean()
        kernel = self._kernel(self.codes) + 0.02 * np.eye(len(y))
        AccuracyPredictor.dual = np.linalg.solve(kernel, y - self.mean)

    def _kernel(self, codes):
        differ = (np.asarray(codes)[:, None] != self.codes[None]).sum(2)
        return np.exp(-0.8 * differ)

    def predict(self, codes):
        return (self._kernel(codes) @ self.dual + self.mean).tolist()
