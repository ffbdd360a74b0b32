"""From the parts that a benchmark names to image sets."""
