import pytest
import torch

from shared import models
from shared.profiling import count_parameters, dummy_input, profile

# (model, input shape of one sample, parameters, MACs) as published or counted by hand
KNOWN = [
    # He et al. 2016 for CIFAR-10 with option B; conv 11,159,232 + norm 9,600 + linear 5,130
    (models.ResNet18, (3, 32, 32), 11_173_962, 555_422_720),
    (models.ResNet20, (3, 32, 32), 272_474, 40_813_184),
    # Han et al. 2016, table 1: 267k and 431k
    (models.LeNet300, (1, 28, 28), 784 * 300 + 300 + 300 * 100 + 100 + 100 * 10 + 10, 266_200),
    (models.LeNet5, (1, 28, 28), 520 + 25_050 + 400_500 + 5_010, 288_000 + 1_600_000 + 405_000),
    (models.MLP, (1, 8, 8), 64 * 32 + 32 + 32 * 10 + 10, 64 * 32 + 32 * 10),
    # 9 * (16 + 16 * 32 + 32 * 32) weights, norms 2 * (16 + 32 + 32), linear 330
    (models.DigitsCNN, (1, 8, 8), 13_968 + 160 + 330, 9 * (528 * 64 + 1024 * 16) + 320),
]


@pytest.mark.parametrize(("build", "shape", "params", "macs"), KNOWN)
def test_known_sizes(build, shape, params, macs):
    model = build()
    counted = profile(model, dummy_input(model, (1, *shape)))
    assert (counted.params, counted.macs) == (params, macs)
    assert counted.not_counted == {}


@pytest.mark.parametrize(("build", "shape"), [known[:2] for known in KNOWN])
def test_output_is_ten_logits_a_sample(build, shape):
    assert build().eval()(torch.randn(2, *shape)).shape == (2, 10)


def test_resnet18_parameters_by_kind():
    model = models.ResNet18()
    kinds = {torch.nn.Conv2d: 0, torch.nn.BatchNorm2d: 0, torch.nn.Linear: 0}
    for module in model.modules():
        if type(module) in kinds:
            kinds[type(module)] += count_parameters(module)
    assert list(kinds.values()) == [11_159_232, 9_600, 5_130]


def test_resnet_halves_the_image_at_each_stage_but_the_first():
    shapes = []
    model = models.ResNet((1, 2, 1), (4, 6, 8), channels=1, classes=3).eval()
    for stage in model.stages:
        stage.register_forward_hook(lambda _, __, out: shapes.append(tuple(out.shape[1:])))
    assert model(torch.randn(2, 1, 16, 16)).shape == (2, 3)
    assert shapes == [(4, 16, 16), (6, 8, 8), (8, 4, 4)]


def test_generator_draws_images_in_the_unit_interval():
    generator = models.Generator(latent_dim=5, channels=3, size=12, width=4)
    images = generator(torch.randn(3, generator.latent_dim))
    assert images.shape == (3, 3, 12, 12)
    assert images.min() >= 0
    assert images.max() <= 1


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: models.MLP((4,)), "sizes"),
        (lambda: models.ResNet((1, 1), (4,)), "blocks, widths"),
        (lambda: models.ResNet((), ()), "blocks, widths"),
        (lambda: models.Generator(size=10), "size"),
        (lambda: models.Generator(size=0), "size"),
    ],
)
def test_bad_arguments(build, message):
    with pytest.raises(ValueError, match=message):
        build()
