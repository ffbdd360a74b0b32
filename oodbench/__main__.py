"""`python -m oodbench` is the same as `oodbench`."""

from oodbench.cli import main

if __name__ == "__main__":
    main()
