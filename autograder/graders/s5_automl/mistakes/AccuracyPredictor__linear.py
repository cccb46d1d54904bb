"""A linear model of the indices: genes are names, not amounts, and they interact.

Source: curriculum list.
"""

import numpy as np


class AccuracyPredictor:
    def fit(self, codes, accuracies):
        if not len(codes) or len(codes) != len(accuracies):
            raise ValueError(f"{len(codes)} codes and {len(accuracies)} accuracies")
        self.sizes = np.array(codes).max(0) + 1
        x, y = self._features(codes), np.array(accuracies, dtype=float)
        gram = x.T @ x + 1e-3 * np.eye(x.shape[1])
        self.weights = np.linalg.solve(gram, x.T @ y)

    def _features(self, codes):
        codes = np.array(codes)
        return np.concatenate([codes, np.ones((len(codes), 1))], 1)

    def predict(self, codes):
        return (self._features(codes) @ self.weights).tolist()
