"""The commands of `ahx`: each module is a verb (main.py says what a module must have)."""
