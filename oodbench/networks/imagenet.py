"""ResNet-18 and ResNet-50 for images of ImageNet's size: torchvision's, whose checkpoints load."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet


class _ImageNetResNet(ResNet):  # type: ignore[misc]  # torchvision is not typed
    """Torchvision's network, in two parts: features, and the last layer."""

    @property
    def head(self) -> nn.Module:
        """The last layer, which gives logits of features."""
        last: nn.Module = self.fc
        return last

    def _take(self, channels: int) -> None:
        """Let the first layer take images of other than 3 channels."""
        if channels != 3:
            self.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)

    def features(self, images: Tensor) -> Tensor:
        """Return the mean of the last feature map, shape (n, n_features), of images as the network was trained on."""
        maps = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        maps = self.layer4(self.layer3(self.layer2(self.layer1(maps))))
        pooled: Tensor = maps.mean(dim=(2, 3))
        return pooled

    def forward(self, images: Tensor) -> Tensor:
        """Return logits or embeddings, shape (n, n_outputs)."""
        outputs: Tensor = self.fc(self.features(images))
        return outputs


class ResNet18Large(_ImageNetResNet):
    """Torchvision's ResNet-18, with the names of its weights; OpenOOD's for ImageNet-200.

    Source: He et al., CVPR 2016.

    Args:
        shape: channels, height and width of the images, from 32×32 on.
        n_outputs: number of classes, or size of the embedding.
    """

    def __init__(self, shape: tuple[int, int, int] = (3, 224, 224), n_outputs: int = 200) -> None:
        super().__init__(BasicBlock, [2, 2, 2, 2], num_classes=n_outputs)
        self._take(shape[0])


class ResNet50(_ImageNetResNet):
    """Torchvision's ResNet-50, with the names of its weights; OpenOOD's for ImageNet-1K.

    Source: He et al., CVPR 2016.

    Args:
        shape: channels, height and width of the images, from 32×32 on.
        n_outputs: number of classes, or size of the embedding.
    """

    def __init__(self, shape: tuple[int, int, int] = (3, 224, 224), n_outputs: int = 1000) -> None:
        super().__init__(Bottleneck, [3, 4, 6, 3], num_classes=n_outputs)
        self._take(shape[0])
