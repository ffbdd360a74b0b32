"""The built-in networks: each has `features(images)` and `head(features)`, and is registered as a plugin."""
