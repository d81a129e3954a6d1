"""What it takes to learn a rule: a search for the smallest model, the fewest samples and the least time. No torch."""
