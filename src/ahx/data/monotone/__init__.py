"""Monotone alignments: which output symbols each input symbol writes, found in pairs of strings."""
