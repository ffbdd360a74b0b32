"""`python -m oodbench` is the same as `oodbench`."""

from .stopping import is_worker, stop_at_once

if not is_worker():
    stop_at_once()


def main() -> None:
    """Run the command line."""
    # Imported late: until then a signal has nothing to leave in order.
    from .cli import main as run

    run()


if __name__ == "__main__":
    main()
