"""One run, from names to records: request, plan, work, evaluation."""
