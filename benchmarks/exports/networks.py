"""What students export: networks and roads to ONNX, each as a file of bytes.

Every network takes the final project's image, uint8 (N, 3, size, size), and gives 10 logits; its
weights are random. Exporting takes seconds to minutes each, so files are kept in `.cache/exports`.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import torchvision.models as tv
from torch import Tensor, nn
from torchvision.models import convnext, inception, maxvit, resnet, swin_transformer, vgg

from benchmarks.common import ROOT

CACHE = ROOT / ".cache" / "exports"
SIZE = 32


@dataclass(frozen=True)
class File:
    """An exported file with those beside it, by name, for images of (3, size, size)."""

    content: bytes
    size: int = SIZE
    beside: Mapping[str, bytes] = field(default_factory=dict)


class FromPixels(nn.Module):
    """A network with its preprocessing, as the final project asks for it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Logits (N, 10) of uint8 images (N, 3, size, size)."""
        logits: Tensor = self.network(image.float() / 255)
        return logits


# ---- networks ------------------------------------------------------------------------------------


class ClassToken(nn.Module):
    """Patches with a class token in front, a transformer, the token's logits."""

    def __init__(self, expand: str = "expand") -> None:
        super().__init__()
        self.expand = expand
        self.patches = nn.Conv2d(3, 32, 8, 8)
        self.token = nn.Parameter(torch.randn(1, 1, 32))
        self.positions = nn.Parameter(torch.randn(1, 17, 32))
        layer = nn.TransformerEncoderLayer(32, 2, 64, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        x = self.patches(x).flatten(2).transpose(1, 2)
        token = (
            self.token.repeat(x.shape[0], 1, 1)
            if self.expand == "repeat"
            else self.token.expand(x.shape[0], -1, -1)
        )
        x = self.encoder(torch.cat([token, x], dim=1) + self.positions)
        logits: Tensor = self.head(x[:, 0])
        return logits


class Sequence(nn.Module):
    """Rows of the image as a sequence for `nn.TransformerEncoder`, post-norm, averaged."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(96, 32)
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        x = x.permute(0, 2, 1, 3).reshape(x.shape[0], 32, 96)
        logits: Tensor = self.head(self.encoder(self.embed(x)).mean(1))
        return logits


class Cosine(nn.Module):
    """A classifier by cosine similarity: `F.normalize` of features and of weights."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 16, 3, 2), nn.ReLU(), nn.MaxPool2d(7))
        self.weight = nn.Parameter(torch.randn(10, 64))

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        x = self.features(x).view(x.size(0), -1)
        return 10 * F.linear(F.normalize(x), F.normalize(self.weight))


class Odds(nn.Module):
    """Layers whose operators the graph language lacks: they are written in others."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, 2)
        self.group = nn.GroupNorm(4, 16)
        self.instance = nn.InstanceNorm2d(16, affine=True)
        self.act = nn.ModuleList([nn.SiLU(), nn.SELU(), nn.CELU(), nn.Softsign(), nn.ReLU6()])
        self.rms = nn.RMSNorm(16)
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        x = self.instance(self.group(self.conv(x)))
        for act in self.act:
            x = act(x)
        logits: Tensor = self.head(self.rms(x.mean((2, 3))))
        return logits


def small_network() -> nn.Module:
    """A few convolutions with batch norm, for the roads behind an exporter."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, 2, 1),
        nn.ReLU6(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(32, 10),
    )


def _small_vgg() -> nn.Module:
    network = vgg.VGG(nn.Sequential(), init_weights=False)
    network.features = vgg.make_layers(vgg.cfgs["A"], batch_norm=True)
    network.classifier = nn.Linear(512 * 49, 10)
    return network


def _swin(block: Any) -> nn.Module:
    more = {"downsample_layer": swin_transformer.PatchMergingV2}
    is_second = block is swin_transformer.SwinTransformerBlockV2
    return tv.SwinTransformer(
        patch_size=[2, 2],
        embed_dim=24,
        depths=[2, 2],
        num_heads=[2, 4],
        window_size=[4, 4],
        num_classes=10,
        block=block,
        **(more if is_second else {}),
    )


def _convnext() -> nn.Module:
    setting = [convnext.CNBlockConfig(16, 32, 2), convnext.CNBlockConfig(32, None, 2)]
    return tv.ConvNeXt(setting, num_classes=10)


def _vit() -> nn.Module:
    return tv.VisionTransformer(SIZE, 8, 2, 2, 64, 128, num_classes=10)


def _maxvit() -> nn.Module:
    return maxvit.MaxVit((64, 64), 16, 4, [16, 32], [1, 1], 16, 0.0, num_classes=10)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "resnet18": (lambda: tv.resnet18(num_classes=10), SIZE),
    "resnext": (
        lambda: tv.ResNet(
            resnet.Bottleneck, [1, 1, 1, 1], num_classes=10, groups=32, width_per_group=4
        ),
        SIZE,
    ),
    "mobilenet_v2": (lambda: tv.mobilenet_v2(num_classes=10), SIZE),
    "mobilenet_v3_small": (lambda: tv.mobilenet_v3_small(num_classes=10), SIZE),
    "mobilenet_v3_large": (lambda: tv.mobilenet_v3_large(num_classes=10), SIZE),
    "efficientnet_b0": (lambda: tv.efficientnet_b0(num_classes=10), SIZE),
    "efficientnet_b1": (lambda: tv.efficientnet_b1(num_classes=10), SIZE),
    "regnet_x_400mf": (lambda: tv.regnet_x_400mf(num_classes=10), SIZE),
    "regnet_y_400mf": (lambda: tv.regnet_y_400mf(num_classes=10), SIZE),
    "shufflenet_v2_x0_5": (lambda: tv.shufflenet_v2_x0_5(num_classes=10), SIZE),
    "squeezenet1_0": (lambda: tv.squeezenet1_0(num_classes=10), 64),
    "squeezenet1_1": (lambda: tv.squeezenet1_1(num_classes=10), SIZE),
    "mnasnet0_5": (lambda: tv.mnasnet0_5(num_classes=10), SIZE),
    "densenet121": (lambda: tv.densenet121(num_classes=10), SIZE),
    "googlenet": (
        lambda: tv.GoogLeNet(num_classes=10, aux_logits=False, init_weights=False),
        SIZE,
    ),
    "inception_v3": (
        lambda: inception.Inception3(num_classes=10, aux_logits=False, init_weights=False),
        75,
    ),
    "vgg11_bn": (_small_vgg, SIZE),
    "convnext": (_convnext, SIZE),
    "swin": (lambda: _swin(swin_transformer.SwinTransformerBlock), SIZE),
    "swin_v2": (lambda: _swin(swin_transformer.SwinTransformerBlockV2), SIZE),
    "vit": (_vit, SIZE),
    "maxvit": (_maxvit, 64),
    "TransformerEncoder": (Sequence, SIZE),
    "class token, expand": (ClassToken, SIZE),
    "class token, repeat": (lambda: ClassToken("repeat"), SIZE),
    "F.normalize": (Cosine, SIZE),
    "norms and activations": (Odds, SIZE),
}
"""A network and the side of its images, by name."""


def settled(network: nn.Module) -> nn.Module:
    """Random statistics and scales, so that folding and zero branches cannot hide a mistake."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.uniform_(-0.1, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
    return network.eval()


def from_network(name: str, dynamo: bool) -> File:
    """A network through one of torch's two exporters."""
    torch.manual_seed(0)
    make, size = NETWORKS[name]
    return File(exported(settled(make()), size, dynamo), size)


def exported(network: nn.Module, size: int, dynamo: bool, **options: Any) -> bytes:
    """The documented call, or the older exporter's."""
    image = torch.zeros(2, 3, size, size, dtype=torch.uint8)
    model = FromPixels(network).eval()
    names: dict[str, Any] = {"input_names": ["image"], "output_names": ["logits"]}
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")  # of torch's own deprecations
        path = Path(folder) / "model.onnx"
        if dynamo:
            torch.onnx.export(
                model,
                (image,),
                path,
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim("N")},),
                external_data=False,
                verbose=False,
                **names,
                **options,
            )
        else:
            axes = {"image": {0: "N"}, "logits": {0: "N"}}
            torch.onnx.export(
                model, (image,), path, dynamo=False, dynamic_axes=axes, **names, **options
            )
        return path.read_bytes()


def cached(name: str, make: Callable[[], File]) -> File:
    """A file that is made once."""
    path = CACHE / f"{name.replace(' ', '_').replace('/', '_')}.onnx"
    sizes = path.with_suffix(".size")
    if not sizes.is_file():
        made = make()
        CACHE.mkdir(parents=True, exist_ok=True)
        path.write_bytes(made.content)
        for each, content in made.beside.items():
            (CACHE / each).write_bytes(content)
        sizes.write_text("\n".join([str(made.size), *made.beside]), "utf-8")
    size, *beside = sizes.read_text("utf-8").splitlines()
    return File(path.read_bytes(), int(size), {n: (CACHE / n).read_bytes() for n in beside})
