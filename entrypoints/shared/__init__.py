"""What several verbs share, and the parts of `ahx eval` and `ahx study` that are too long for one module."""
