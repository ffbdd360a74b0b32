"""A very small convolutional network, for very small images."""

from torch import Tensor, nn


class TinyNet(nn.Module):
    """Two 3×3 convolutions, one max-pooling, one hidden layer of 128: for 8×8 digits.

    Args:
        shape: channels, height and width of the images; height and width at least 2.
        n_outputs: number of classes, or size of the embedding.
    """

    def __init__(self, shape: tuple[int, int, int], n_outputs: int) -> None:
        super().__init__()
        channels, height, width = shape
        self.body = nn.Sequential(
            nn.Conv2d(channels, 32, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64 * (height // 2) * (width // 2), 128),
            nn.ReLU(),
        )
        self.head = nn.Linear(128, n_outputs)

    def features(self, images: Tensor) -> Tensor:
        """Return the hidden layer, shape (n, 128), of images in [0, 1]."""
        out: Tensor = self.body(images)
        return out

    def forward(self, images: Tensor) -> Tensor:
        """Return the output, shape (n, n_outputs)."""
        out: Tensor = self.head(self.features(images))
        return out
