"""How a model knows positions. A new scheme is an entry in schemes.py."""
