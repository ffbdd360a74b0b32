"""A user's own model and images."""
