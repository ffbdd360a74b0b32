"""VGG-13 for 32×32 images, as the first paper and CC-AG use it."""

import math
from collections.abc import Callable, Mapping
from typing import Literal

from torch import Tensor, nn

Start = Literal["masana", "lee", "he"]
"""How the weights of a VGG begin."""


class VGG13(nn.Module):
    """Ten 3×3 convolutions in five pairs, and two hidden layers of 512.

    The default is the network of Masana et al. (BMVC 2018, public code), initial weights included: the last pooling is
    an average, and dropout of 0.2 follows each hidden layer.
    Source: Simonyan & Zisserman, ICLR 2015, configuration B.

    Args:
        shape: channels, height and width of the images; height and width are multiples of 32.
        n_outputs: number of classes, or size of the embedding.
        batch_norm: whether batch normalisation follows each convolution.
        dropout: share of each hidden layer that is dropped in training.
        last_pool: "average" or "max".
        start: initial weights: "masana" (convolutions uniform after Glorot & Bengio, their biases 0.1; weights and
            biases of linear layers normal with standard deviation 0.1), "lee" (convolutions normal after He et al. over
            what goes out; linear layers normal with standard deviation 0.01; biases 0), both as in the public code of
            the papers; or "he" (convolutions as in "lee", linear layers as in PyTorch).
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        n_outputs: int,
        *,
        batch_norm: bool = False,
        dropout: float = 0.2,
        last_pool: str = "average",
        start: Start = "masana",
    ) -> None:
        super().__init__()
        channels, height, width = shape
        layers: list[nn.Module] = []
        for block, size in enumerate((64, 128, 256, 512, 512)):
            for _ in range(2):
                layers.append(nn.Conv2d(channels, size, 3, padding=1, bias=not batch_norm))
                layers += [nn.BatchNorm2d(size)] if batch_norm else []
                layers.append(nn.ReLU(inplace=True))
                channels = size
            layers.append(nn.AvgPool2d(2) if block == 4 and last_pool == "average" else nn.MaxPool2d(2))
        self.convolutions = nn.Sequential(*layers)
        self.hidden = nn.Sequential(
            nn.Flatten(),
            nn.Linear(512 * (height // 32) * (width // 32), 512),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(512, 512),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
        )
        self.head = nn.Linear(512, n_outputs)
        self.apply(_START[start])

    def features(self, images: Tensor) -> Tensor:
        """Return the second hidden layer, shape (n, 512), of images in [0, 1]."""
        out: Tensor = self.hidden(self.convolutions(images))
        return out

    def forward(self, images: Tensor) -> Tensor:
        """Return the output, shape (n, n_outputs)."""
        out: Tensor = self.head(self.features(images))
        return out


class VGG13CCAG(VGG13):
    """VGG-13 as the public code of CC-AG (Lee et al., ICLR 2018) has it: max-pooling, dropout of 0.5, initial weights.

    Args:
        shape: channels, height and width of the images; height and width are multiples of 32.
        n_outputs: number of classes, or size of the embedding.
    """

    def __init__(self, shape: tuple[int, int, int], n_outputs: int) -> None:
        super().__init__(shape, n_outputs, dropout=0.5, last_pool="max", start="lee")


class VGG13BatchNorm(VGG13):
    """VGG-13 with batch normalisation, which trains in a small part of the time.

    Args:
        shape: channels, height and width of the images; height and width are multiples of 32.
        n_outputs: number of classes, or size of the embedding.
    """

    def __init__(self, shape: tuple[int, int, int], n_outputs: int) -> None:
        super().__init__(shape, n_outputs, batch_norm=True, start="he")


def _as_masana(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.constant_(module.bias, 0.1)
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.1)
        nn.init.normal_(module.bias, std=0.1)


def _as_he(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, std=math.sqrt(2 / (9 * module.out_channels)))
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _as_lee(module: nn.Module) -> None:
    _as_he(module)
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.01)
        nn.init.zeros_(module.bias)


_START: Mapping[Start, Callable[[nn.Module], None]] = {"masana": _as_masana, "lee": _as_lee, "he": _as_he}
