"""`python -m oodbench` is the same as `oodbench`."""

from .cli import main

if __name__ == "__main__":
    main()
