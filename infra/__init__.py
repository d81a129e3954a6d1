"""Everything that reaches AWS or runs jobs: the stack, the launcher, local runs, and the embedded AWS. Never torch."""
