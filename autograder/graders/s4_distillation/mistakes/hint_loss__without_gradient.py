"""Regressor and distance are computed without gradients: nothing learns.

Source: own.
"""

import torch

from shared.checks import check_shape


def hint_loss(student_features, teacher_features, regressor):
    with torch.no_grad():
        guided = regressor(student_features)
        check_shape("regressor(student_features)", guided, *teacher_features.shape)
        return (guided - teacher_features).square().mean()
