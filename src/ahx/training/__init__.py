"""Training: run.py puts a run together, loop.py trains it, pool.py trains many at once."""
