"""The contenders of peers.py: each is imported from a folder of the user, and runs in a process of its own."""
