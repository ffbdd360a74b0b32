"""The built-in methods, one concept a file; the engine finds them through entry points only."""

if __name__ != "oodbench.methods":
    raise ImportError("this folder is the package oodbench.methods; install it with: pip install -e .")
