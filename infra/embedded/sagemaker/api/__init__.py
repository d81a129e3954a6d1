"""What all operations share: constraints, supported members, defaults, pages and Search."""
