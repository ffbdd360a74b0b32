"""Look at what goes on inside a network, and leave it as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import nn

See = Callable[[str, Any], Any]
"""Given a module's name and output; what it returns takes the place of the output, unless it is None."""


@contextmanager
def hooked(network: nn.Module, names: Iterable[str], see: See) -> Iterator[None]:
    """Show the outputs of modules, by name, whenever they run inside of a block."""

    def hook(name: str, _module: nn.Module, _inputs: Any, output: Any) -> Any:
        return see(name, output)

    handles = [network.get_submodule(name).register_forward_hook(partial(hook, name)) for name in names]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
