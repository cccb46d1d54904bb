"""The distance is not squared.

Source: own.
"""

from shared.checks import check_shape


def hint_loss(student_features, teacher_features, regressor):
    guided = regressor(student_features)
    check_shape("regressor(student_features)", guided, *teacher_features.shape)
    return (guided - teacher_features).norm()
