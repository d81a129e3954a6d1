"""The operations on training jobs, and the checks of their requests."""
