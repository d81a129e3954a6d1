"""Requests and responses as data: the protocols of AWS, targets, and requests that can be replayed. No checks."""
