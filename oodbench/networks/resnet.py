"""Residual networks for small images: ResNet-18, and the shallow ResNet-9 that trains in a tenth of the time."""

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, ResNet


class ResNet18(nn.Module):
    """ResNet-18 with a first layer for small images, as is usual on CIFAR: 3×3, stride 1, and no pooling after it.

    Images of any size from 8×8 on; torchvision's blocks.
    Source: He et al., CVPR 2016.

    Args:
        shape: channels, height and width of the images.
        n_outputs: number of classes, or size of the embedding.
    """

    def __init__(self, shape: tuple[int, int, int], n_outputs: int) -> None:
        super().__init__()
        body = ResNet(BasicBlock, [2, 2, 2, 2])
        first = nn.Conv2d(shape[0], 64, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(first.weight, mode="fan_out", nonlinearity="relu")
        self.stem = nn.Sequential(first, nn.BatchNorm2d(64), nn.ReLU(inplace=True))
        self.stages = nn.Sequential(body.layer1, body.layer2, body.layer3, body.layer4)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(512, n_outputs)

    def features(self, images: Tensor) -> Tensor:
        """Return the mean of the last feature map, shape (n, 512), of images in [0, 1]."""
        features: Tensor = self.pool(self.stages(self.stem(images)))
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Return logits or embeddings, shape (n, n_outputs), of images in [0, 1]."""
        outputs: Tensor = self.head(self.features(images))
        return outputs


class ResNet9(nn.Module):
    """Eight 3×3 convolutions with batch normalisation, four of them in two residual blocks, and a linear layer.

    The image is halved three times, then each channel is reduced to its largest value, and that to an eighth, by
    which the source scales its outputs.
    Source: D. Page, "How to train your ResNet", 2018, whose network won DAWNBench's CIFAR-10 task; any image size from
    8×8 on.

    Args:
        shape: channels, height and width of the images.
        n_outputs: number of classes, or size of the embedding.
        width: channels of the first convolution; the last ones have eight times as many.
    """

    def __init__(self, shape: tuple[int, int, int], n_outputs: int, *, width: int = 64) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _convolution(shape[0], width),
            _convolution(width, 2 * width, halve=True),
            _Residual(2 * width),
            _convolution(2 * width, 4 * width, halve=True),
            _convolution(4 * width, 8 * width, halve=True),
            _Residual(8 * width),
        )
        self.head = nn.Linear(8 * width, n_outputs)

    def features(self, images: Tensor) -> Tensor:
        """Return an eighth of the largest value of each channel of the last feature map, shape (n, 8·width)."""
        # Not by a pooling layer, whose backward pass on a GPU differs from time to time.
        features: Tensor = self.body(images).amax(dim=(2, 3)) / 8
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Return logits or embeddings, shape (n, n_outputs), of images in [0, 1]."""
        outputs: Tensor = self.head(self.features(images))
        return outputs


def _convolution(channels: int, width: int, *, halve: bool = False) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(channels, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    ]
    return nn.Sequential(*layers, nn.MaxPool2d(2)) if halve else nn.Sequential(*layers)


class _Residual(nn.Module):
    """Two convolutions, added to the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(_convolution(width, width), _convolution(width, width))

    def forward(self, inputs: Tensor) -> Tensor:
        out: Tensor = inputs + self.convolutions(inputs)
        return out


class ResNet9Half(ResNet9):
    """ResNet-9 at half its width: a quarter of the work, for a processor.

    Args:
        shape: channels, height and width of the images; at least 8×8.
        n_outputs: number of classes, or size of the embedding.
    """

    def __init__(self, shape: tuple[int, int, int], n_outputs: int) -> None:
        super().__init__(shape, n_outputs, width=32)
