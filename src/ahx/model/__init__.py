"""The transformer, its position schemes, decoding, scoring and checkpoints."""
