"""LeNet in its common ReLU form: two convolutions with max-pooling and one hidden layer of 500."""

from torch import Tensor, nn


class LeNet(nn.Module):
    """For small grey or colour images of at least 12×12 pixels.

    Source: LeCun et al., Proc. IEEE 86(11), 1998, with the 20 and 50 filters that Caffe made common, and a ReLU after
    each of them.

    Args:
        shape: channels, height and width of the images.
        n_outputs: number of classes, or size of the embedding.
    """

    def __init__(self, shape: tuple[int, int, int], n_outputs: int) -> None:
        super().__init__()
        channels, height, width = shape
        after_pool = [((side - 4) // 2 - 4) // 2 for side in (height, width)]
        self.body = nn.Sequential(
            nn.Conv2d(channels, 20, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(20, 50, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(50 * after_pool[0] * after_pool[1], 500),
            nn.ReLU(),
        )
        self.head = nn.Linear(500, n_outputs)

    def features(self, images: Tensor) -> Tensor:
        """Return the hidden layer, shape (n, 500), of images in [0, 1]."""
        out: Tensor = self.body(images)
        return out

    def forward(self, images: Tensor) -> Tensor:
        """Return the output, shape (n, n_outputs)."""
        out: Tensor = self.head(self.features(images))
        return out
