"""Training on files of examples: read, checked, encoded into a cache, shuffled."""
