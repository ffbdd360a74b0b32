"""Distance to the nearest decision boundary, a plugin of oodbench."""

# The version of the contract (oodbench.api.CONTRACT) that this package was written for.
OODBENCH_CONTRACT = 2
