"""Hyperparameter tuning jobs: operations, checks, search strategies, and the thread that runs one."""
