"""How time grows with the number of methods, of OOD sets and of images, and what one method more costs: a figure.

From a base of some methods, sets and images, one of the three is changed at a time. pytorch-ood's detectors and ours
run as in `detectors.py`; what every evaluation of ours needs (fingerprints, the forward pass, records) counts. A second
figure, `…_costs`, has all methods without passes of their own, each with its fit, scores, metrics and record, in
percent of the forward pass that they share, with the sets and images of the base or of `--costs`.

    python benchmarks/scaling.py --out scaling.png
"""

from __future__ import annotations

import argparse
import statistics
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from _scene import SHAPES, Scene, Seconds, machine, threads
from detectors import NEED_PASSES, SHARED, fitted_images, ours, peers, theirs

FIRST = ("msp", "max_logit", "energy", "entropy", "react", "gradnorm", "mahalanobis", "vim")
METHODS = (*FIRST, *(name for name in peers(1) if name not in (*FIRST, *NEED_PASSES)))
"""All without passes of their own, in the order in which they are added."""
AIM = 2.0
"""Percent of a forward pass that a method more may cost."""


def measure(network: str, n_methods: int, n_sets: int, n_images: int, device: torch.device) -> tuple[Seconds, Seconds]:
    """Return what theirs and ours take for so many methods, OOD sets and images in each set."""
    scene = Scene.of(network, n_images=n_images, n_sets=n_sets, n_train=max(1000, n_images), device=device)
    fit = fitted_images(scene)
    chosen = {name: peer for name, peer in peers(1).items() if name in METHODS[:n_methods]}
    mine, _ = ours({name: peer.ours for name, peer in chosen.items()}, scene)
    other = [theirs(name, peer, scene, fit, 200)[0] for name, peer in chosen.items()]
    return sum(other, Seconds()), sum(mine.values(), Seconds())


def costs(network: str, n_sets: int, n_images: int, device: torch.device, rounds: int) -> dict[str, float]:
    """Return what each method costs, in percent of the forward pass: medians of some rounds, the cheapest first."""
    scene = Scene.of(network, n_images=n_images, n_sets=n_sets, n_train=max(1000, n_images), device=device)
    known = {name: peer.ours for name, peer in peers(1).items() if name in METHODS}
    found: dict[str, list[float]] = {name: [] for name in known}
    for _ in range(rounds):
        taken, _ = ours(known, scene)
        # What the process worked, where nothing else works for it: the clock counts what other processes do as well.
        seconds = {name: each.cpu if device.type == "cpu" else each.wall for name, each in taken.items()}
        for name in known:
            found[name].append(100 * seconds[name] / seconds[SHARED])
    medians = {name: statistics.median(shares) for name, shares in found.items()}
    return dict(sorted(medians.items(), key=lambda entry: entry[1]))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=list(SHAPES), default="lenet")
    parser.add_argument("--methods", type=int, nargs="+", default=[1, 2, 4, 8, 16, len(METHODS)])
    parser.add_argument("--sets", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--images", type=int, nargs="+", default=[250, 500, 1000, 2000])
    parser.add_argument("--base", type=int, nargs=3, default=[8, 2, 500], metavar=("METHODS", "SETS", "IMAGES"))
    parser.add_argument(
        "--costs", type=int, nargs=2, metavar=("SETS", "IMAGES"), help="of the second figure, where not the base's"
    )
    parser.add_argument("--rounds", type=int, default=1, help="of the second figure")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("scaling.png"))
    given = parser.parse_args(arguments)
    device = torch.device(given.device)
    axes = {"methods": given.methods, "OOD sets": given.sets, "images in each set": given.images}
    with threads(given.threads), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        print(machine(device))
        measure(given.network, 1, 1, 100, device)  # warms up
        taken: dict[tuple[int, ...], tuple[Seconds, Seconds]] = {}
        panels = {}
        for i, (title, values) in enumerate(axes.items()):
            for value in values:
                place = (*given.base[:i], value, *given.base[i + 1 :])
                taken[place] = taken.get(place) or measure(given.network, *place, device)
                other, mine = taken[place]
                print(
                    f"{place[0]:3} methods, {place[1]:3} sets, {place[2]:7,} images: pytorch-ood {other.wall:8.2f} s "
                    f"({other.cpu:.2f} CPU), oodbench {mine.wall:8.2f} s ({mine.cpu:.2f} CPU), "
                    f"ratio {other.wall / mine.wall:.1f} ({other.cpu / mine.cpu:.1f})",
                    flush=True,
                )
            panels[title] = [(value, *taken[(*given.base[:i], value, *given.base[i + 1 :])]) for value in values]
        shares = costs(given.network, *(given.costs or given.base[1:]), device, given.rounds)
    for name, share in shares.items():
        print(f"{name:20} costs {share:7.2f} % of the forward pass")
    below = sum(share < AIM for share in shares.values())
    print(f"{below} of {len(shares)} below {AIM:g} %, median {statistics.median(shares.values()):.2f} %")
    draw(panels, given.network, given.out, cpu=device.type == "cpu")
    aside = given.out.with_stem(f"{given.out.stem}_costs")
    draw_costs({given.network: shares}, aside)
    print(f"figures: {given.out}, {aside}")


def draw(panels: dict[str, list[tuple[int, Seconds, Seconds]]], network: str, out: Path, *, cpu: bool) -> None:
    """Write a figure with a panel for each thing that was changed.

    Args:
        panels: for each value of the thing, what theirs and ours took.
        network: for the title.
        out: file to write.
        cpu: whether to show processor seconds, which do not depend on what else the machine does.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    figure = Figure(figsize=(10, 3.4), layout="constrained")
    for axes, (title, points) in zip(figure.subplots(1, len(panels), sharey=True), panels.items(), strict=True):
        values = [value for value, _, _ in points]
        for i, (label, marker) in enumerate((("pytorch-ood, one after another", "s"), ("oodbench", "o")), start=1):
            seconds = [point[i].cpu if cpu else point[i].wall for point in points]  # type: ignore[union-attr]
            axes.plot(values, seconds, marker=marker, label=label)
        axes.set(xscale="log", yscale="log", xlabel=title)
        axes.set_xticks(values, [f"{value:,}" for value in values])
        axes.minorticks_off()
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.grid(alpha=0.3)
    first = figure.axes[0]
    first.set_ylabel("processor seconds" if cpu else "seconds")
    first.legend(frameon=False)
    figure.suptitle(f"Fitting, scores and metrics of all methods together, {network}")
    figure.savefig(out, dpi=150)


def draw_costs(shares: dict[str, dict[str, float]], out: Path) -> None:
    """Write a figure of what each method costs, in percent of the forward pass.

    Args:
        shares: of each method, by the network; the order is that of the first.
        out: file to write.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    for (network, costs_of), marker in zip(shares.items(), "osv^", strict=False):
        axes.plot([costs_of[name] for name in next(iter(shares.values()))], range(len(costs_of)), marker, label=network)
    axes.set_yticks(range(len(next(iter(shares.values())))), [*next(iter(shares.values()))], fontsize=7)
    axes.axvline(AIM, color="0.4", linestyle=":")
    axes.set(xscale="log", xlabel="% of the forward pass")
    axes.grid(alpha=0.3, axis="x")
    axes.legend(frameon=False, loc="lower right")
    axes.set_title("What a method more costs: fit, scores, metrics, record")
    figure.savefig(out, dpi=150)


if __name__ == "__main__":
    main()
