"""The contenders of peers.py: each is imported from the folder that the user names, and runs in a process of its own."""
