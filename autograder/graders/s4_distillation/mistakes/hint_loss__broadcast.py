"""Features of another shape are broadcast instead of refused.

Source: own.
"""

import torch


def hint_loss(student_features, teacher_features, regressor):
    guided = regressor(student_features)
    return (guided - teacher_features).square().mean()
