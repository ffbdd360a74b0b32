"""The built-in image sources and benchmarks, one a file; the engine finds them through entry points only."""

if __name__ != "oodbench.datasets":
    raise ImportError("this folder is the package oodbench.datasets; install it with: pip install -e .")
