"""Wide residual networks (Zagoruyko & Komodakis, BMVC 2016)."""

from torch import Tensor, nn

from oodbench.errors import ConfigError


class WideResNet(nn.Module):
    """A 3×3 convolution, three groups of pre-activation blocks that halve the image twice, and a global average.

    The groups are 16k, 32k and 64k channels wide. Convolutions have no bias and start from He et al.'s normal
    distribution (fan-out). Source: Zagoruyko & Komodakis, BMVC 2016, Table 1.

    Args:
        shape: channels, height and width of the images; height and width at least 8.
        n_outputs: number of classes, or size of the embedding.
        depth: number of convolutions, those of the three shortcuts included; 4 more than a multiple of 6.
        widening: k in the paper.
        dropout: share dropped between the two convolutions of each block in training.

    Raises:
        ConfigError: there is no network of this depth.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        n_outputs: int,
        *,
        depth: int = 28,
        widening: int = 10,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        blocks, rest = divmod(depth - 4, 6)
        if rest or blocks < 1:
            raise ConfigError(f"depth must be 4 more than a multiple of 6, such as 16 or 28, got {depth}")
        n_features = 64 * widening
        layers: list[nn.Module] = [nn.Conv2d(shape[0], 16, 3, padding=1, bias=False)]
        channels = 16
        for width, stride in ((16 * widening, 1), (32 * widening, 2), (n_features, 2)):
            for block in range(blocks):
                layers.append(_Block(channels, width, stride if block == 0 else 1, dropout))
                channels = width
        self.body = nn.Sequential(
            *layers, nn.BatchNorm2d(n_features), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        self.head = nn.Linear(n_features, n_outputs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def features(self, images: Tensor) -> Tensor:
        """Return the averages of the last group's channels, shape (n, 64k), of images in [0, 1]."""
        out: Tensor = self.body(images)
        return out

    def forward(self, images: Tensor) -> Tensor:
        """Return the output, shape (n, n_outputs)."""
        out: Tensor = self.head(self.features(images))
        return out


class _Block(nn.Module):
    """Twice batch normalisation, ReLU and a 3×3 convolution, added to the input.

    Where the shape changes, a 1×1 convolution brings the input to it, after the first ReLU.
    """

    def __init__(self, channels: int, width: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.activation = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
        self.residual = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
        )
        same = channels == width and stride == 1
        self.shortcut = None if same else nn.Conv2d(channels, width, 1, stride, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        activated = self.activation(inputs)
        out: Tensor = self.residual(activated)
        return out + (inputs if self.shortcut is None else self.shortcut(activated))


class WRN28x10(WideResNet):
    """WRN-28-10, the network of the traffic signs in Masana et al., BMVC 2018: 36.5 million weights.

    Args:
        shape: channels, height and width of the images; height and width at least 8.
        n_outputs: number of classes, or size of the embedding.
    """

    def __init__(self, shape: tuple[int, int, int], n_outputs: int) -> None:
        super().__init__(shape, n_outputs, depth=28, widening=10)


class WRN16x4(WideResNet):
    """WRN-16-4, a thirteenth of WRN-28-10: 2.7 million weights.

    Args:
        shape: channels, height and width of the images; height and width at least 8.
        n_outputs: number of classes, or size of the embedding.
    """

    def __init__(self, shape: tuple[int, int, int], n_outputs: int) -> None:
        super().__init__(shape, n_outputs, depth=16, widening=4)


class WRN40x2(WideResNet):
    """WRN-40-2, the network of Outlier Exposure (Hendrycks et al., ICLR 2019): 2.2 million weights.

    Args:
        shape: channels, height and width of the images; height and width at least 8.
        n_outputs: number of classes, or size of the embedding.
    """

    def __init__(self, shape: tuple[int, int, int], n_outputs: int) -> None:
        super().__init__(shape, n_outputs, depth=40, widening=2)
