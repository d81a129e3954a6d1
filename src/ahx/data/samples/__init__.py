"""Training on fresh random strings and what a rule makes of them."""
