"""Embeddings that move: the cloud turns, or is learnt epoch by epoch."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from oodbench.errors import ConfigError
from oodbench.spelling import for_matplotlib

from .colours import ID_COLOURS, OOD_COLOURS, mixed
from .embeddings import GRID, WALL, draw_embeddings, projector
from .labels import names_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image

    from oodbench.store.records import Record, Scores
    from oodbench.store.snapshots import Snapshots

BYTES = 1_000_000
"""That a GIF may have: more is slow to open in a page."""
DPI = 80
FRAMES = 36
_SMALLER = ((1, 1), (0.8, 1), (0.8, 2), (0.6, 2), (0.45, 2), (0.35, 3))
"""Share of the size and step through the frames, tried one after another until a GIF is small enough."""
SECONDS = 6.0
"""Of one turn, or of a whole training."""
REST = 1.5
"""How many seconds more the end of a training is shown for."""

Results = Sequence[tuple["Record", "Scores"]]


def turning(results: Results, *, dpi: int, frames: int) -> Iterator[Image.Image]:
    """Yield pictures of one turn of the embeddings, see `draw_embeddings`.

    Args:
        results: records of one benchmark with their scores.
        dpi: dots an inch.
        frames: of one turn.

    Raises:
        ConfigError: none of the networks has embeddings in three dimensions.
    """
    figure = draw_embeddings(results)
    turned: list[Any] = [axes for axes in figure.axes if hasattr(axes, "view_init")]
    if not turned:
        raise ConfigError("these embeddings have fewer than three dimensions, which do not turn; leave --animate out")
    # The walls would change with every picture, and be most of the file.
    for axes in turned:
        axes.set_axis_off()
        axes.set_box_aspect(None, zoom=1.45)
    for frame in range(frames):
        for axes in turned:
            axes.view_init(elev=28, azim=40 + 360 * frame / frames)
        yield _picture(figure, dpi)


def learning(results: Sequence[tuple[Record, Scores, Snapshots]], *, dpi: int, frames: int) -> Iterator[Image.Image]:
    """Yield pictures of embeddings after one epoch after another.

    All epochs are projected as the last one is, on axes of one size. Trainings of different lengths begin and end
    together, and each is named with its own epoch.

    Args:
        results: records of one benchmark with their scores and the snapshots of their training; of sets that these lack
            there is no panel.
        dpi: dots an inch.
        frames: at most; epochs are left out evenly where there are more.

    Raises:
        ConfigError: there is nothing to draw.
    """
    if not results:
        raise ConfigError("there are no snapshots to draw")
    taken = [snapshots for _, _, snapshots in results]
    flat = [_projected(snapshots) for snapshots in taken]
    records = [_drawn_of(record, snapshots) for record, _, snapshots in results]
    if not any(record.rows for record in records):
        raise ConfigError("these snapshots are of none of the OOD sets; take new ones: oodbench run --snapshots 300")
    names = names_of(records)
    # Methods that share a network share a row of panels.
    rows = {record.fingerprints["weights"]: one for record, one in zip(records, flat, strict=True)}
    limits = [_limits(one) for one in rows.values()]
    count = min(frames, max(len(snapshots.epochs) for snapshots in flat))
    for share in np.linspace(0, 1, count):
        steps = [round(share * (len(snapshots.epochs) - 1)) for snapshots in flat]
        shown = [
            (record, _at(scores, snapshots, step))
            for record, (_, scores, _), snapshots, step in zip(records, results, flat, steps, strict=True)
        ]
        figure = draw_embeddings(shown)
        epochs = [(int(one.epochs[step]), int(one.epochs[-1])) for one, step in zip(flat, steps, strict=True)]
        figure.text(0.01, 0.99, _said(names, epochs), va="top", fontsize=11, weight="bold")
        _fix_axes(figure, limits)
        yield _picture(figure, dpi)


def _drawn_of(record: Record, snapshots: Snapshots) -> Record:
    return replace(record, rows=tuple(row for row in record.rows if row.out_dist in snapshots.ood))


def _said(names: Sequence[str], epochs: Sequence[tuple[int, int]]) -> str:
    """Return in which epoch of how many the networks are, one by one where they differ."""
    said = {f"{done} of {n_epochs}": name for name, (done, n_epochs) in zip(names, epochs, strict=True)}
    if len(said) == 1:
        return f"epoch {next(iter(said))}"
    return "epoch " + ", ".join(f"{text} ({for_matplotlib(name)})" for text, name in said.items())


def _projected(snapshots: Snapshots) -> Snapshots:
    project = projector(snapshots.id[-1])
    return replace(
        snapshots,
        id=np.stack([project(values) for values in snapshots.id]),
        ood={name: np.stack([project(one) for one in values]) for name, values in snapshots.ood.items()},
    )


def _at(scores: Scores, snapshots: Snapshots, k: int) -> Scores:
    return replace(
        scores,
        embedding_id=snapshots.id[k],
        labels_id=snapshots.labels_id,
        embedding_ood={name: values[k] for name, values in snapshots.ood.items()},
    )


def _limits(snapshots: Snapshots) -> tuple[float, float]:
    """Return the limits that most points of a network are in, after whichever epoch."""
    values = [each.reshape(-1, each.shape[-1]) for each in (snapshots.id, *snapshots.ood.values())]
    low, high = (np.min([np.percentile(v, 1) for v in values]), np.max([np.percentile(v, 99) for v in values]))
    # A network before its training may give one point for all images.
    return float(low), float(high) if high > low else float(low) + 1


def _fix_axes(figure: Figure, limits: Sequence[tuple[float, float]]) -> None:
    """Give all panels of a row the limits of its network."""
    axes: Any
    a_row = len(figure.axes) // len(limits)
    for number, axes in enumerate(figure.axes):
        for name in ("set_xlim", "set_ylim", "set_zlim"):
            if hasattr(axes, name):
                getattr(axes, name)(*limits[number // a_row])


def _picture(figure: Figure, dpi: int) -> Image.Image:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    figure.set_dpi(dpi)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def as_gif(draw: Any, *, rest: float = 0.0) -> bytes:
    """Return pictures as a GIF of at most `BYTES`, as large and as smooth as fits.

    Args:
        draw: `turning` or `learning` with their results, called with `dpi` and `frames`.
        rest: seconds that the last picture stays for in addition.

    Raises:
        ConfigError: even the smallest one is too large.
    """
    pictures = [*draw(dpi=DPI, frames=FRAMES)]
    packed = b""
    for share, step in _SMALLER:
        # Drawing takes much longer than scaling what was drawn.
        size = [round(share * side) for side in pictures[0].size]
        # The last one always: it is how a training ends.
        some = pictures[::-step][::-1]
        packed = _gif([picture.resize(size) if share < 1 else picture for picture in some], rest)
        if len(packed) <= BYTES:
            return packed
    raise ConfigError(
        f"the smallest GIF of these embeddings has {len(packed) / 1e6:.1f} MB; choose fewer methods or OOD sets: "
        "--method, --ood"
    )


def _gif(pictures: Sequence[Image.Image], rest: float) -> bytes:
    from PIL import Image

    # One palette for all: what does not change from picture to picture costs nothing then; dithering would change all.
    palette = Image.new("P", (1, 1))
    palette.putpalette(_palette())
    frames = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    each = round(1000 * SECONDS / len(frames))
    buffer = io.BytesIO()
    frames[0].save(
        buffer,
        "GIF",
        save_all=True,
        append_images=frames[1:],
        duration=[each] * (len(frames) - 1) + [each + round(1000 * rest)],
        loop=0,
        optimize=True,
    )
    return buffer.getvalue()


def _palette() -> bytes:
    """Return every colour that figures give to points, paler ones for their edges, and greys."""
    colours = [*ID_COLOURS, *(colour for palette in OOD_COLOURS.values() for colour in palette)]
    steps = [mixed(colour, "#ffffff", share) for colour in colours for share in (0, 0.3, 0.6, 0.85)]
    greys = [f"#{level:02x}{level:02x}{level:02x}" for level in range(0, 256, 15)]
    return b"".join(bytes.fromhex(colour[1:]) for colour in (WALL, GRID, *greys, *steps))


def as_mp4(draw: Any) -> bytes:
    """Return pictures as an MP4, which ffmpeg makes.

    Args:
        draw: as in `as_gif`.

    Raises:
        ConfigError: ffmpeg is not there, or fails.
    """
    import subprocess
    import tempfile
    from shutil import which

    ffmpeg = which("ffmpeg")
    if ffmpeg is None:
        raise ConfigError("an MP4 needs ffmpeg, which is not installed; install it, or write a GIF: --format gif")
    pictures = [*draw(dpi=100, frames=72)]
    # Video has an even number of pixels either way.
    width, height = (side - side % 2 for side in pictures[0].size)
    pixels = b"".join(picture.crop((0, 0, width, height)).tobytes() for picture in pictures)
    raw = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(len(pictures) / SECONDS))
    # A stream that is read before it is whole has its index in front, for which ffmpeg needs a file.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        done = subprocess.run(  # noqa: S603  # the arguments are numbers and our own words
            [ffmpeg, "-loglevel", "error", *raw, "-i", "-", "-pix_fmt", "yuv420p", "-movflags", "+faststart", path],
            input=pixels,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise ConfigError(f"ffmpeg could not make the MP4: {done.stderr.decode(errors='replace').strip()[-300:]}")
        return path.read_bytes()
