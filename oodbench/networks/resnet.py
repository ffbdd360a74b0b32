"""ResNet-18 for small images."""

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
