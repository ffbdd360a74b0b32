"""Training a network with an objective, from a seed, in a way that can be killed and goes on."""
