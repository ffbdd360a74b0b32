"""What results are named by: hashes of values, source, code and contents."""
