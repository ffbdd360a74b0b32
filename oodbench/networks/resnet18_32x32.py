"""OpenOOD's ResNet-18 for small images, with the names of its weights, so that published checkpoints load."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class ResNet18Small(nn.Module):
    """ResNet-18 whose first layer is 3×3 with stride 1 and no pooling; tensors are called as in OpenOOD's checkpoints.

    `--model "oodbench.networks.resnet18_32x32:ResNet18Small(n_outputs=100)" --weights best.ckpt` loads one. The network
    is that of `resnet18`; names and initial weights (PyTorch's own for convolutions) differ.
    Source: He et al., CVPR 2016; Zhang et al., OpenOOD v1.5, 2023, ResNet18_32x32 of its public code.

    Args:
        shape: channels, height and width of the images, from 8×8 on.
        n_outputs: number of classes, or size of the embedding.
    """

    def __init__(self, shape: tuple[int, int, int] = (3, 32, 32), n_outputs: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(shape[0], 64, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(_Block(64, 64), _Block(64, 64))
        self.layer2 = nn.Sequential(_Block(64, 128, stride=2), _Block(128, 128))
        self.layer3 = nn.Sequential(_Block(128, 256, stride=2), _Block(256, 256))
        self.layer4 = nn.Sequential(_Block(256, 512, stride=2), _Block(512, 512))
        self.fc = nn.Linear(512, n_outputs)

    @property
    def head(self) -> nn.Linear:
        """The last layer, which gives logits of features."""
        return self.fc

    def features(self, images: Tensor) -> Tensor:
        """Return the mean of the last feature map, shape (n, 512), of images as the network was trained on them."""
        maps = functional.relu(self.bn1(self.conv1(images)))
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            maps = layer(maps)
        return maps.mean(dim=(2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits or embeddings, shape (n, n_outputs)."""
        outputs: Tensor = self.fc(self.features(images))
        return outputs


class _Block(nn.Module):
    """Two convolutions, added to the input, which is projected where the shape changes."""

    def __init__(self, channels: int, width: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut = nn.Sequential()
        if stride != 1 or channels != width:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, width, 1, stride=stride, bias=False), nn.BatchNorm2d(width)
            )

    def forward(self, inputs: Tensor) -> Tensor:
        inner = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(inputs)))))
        return functional.relu(inner + self.shortcut(inputs))
