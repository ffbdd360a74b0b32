"""What other packages bring: how it is found, and what it must look like."""
