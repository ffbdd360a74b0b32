"""What is kept on disk, whole or absent: artifacts and records."""
