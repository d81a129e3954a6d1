"""Training a queue machine on every window that it can read."""
