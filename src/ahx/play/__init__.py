"""A page on this machine on which one watches a model write (`ahx play`)."""
