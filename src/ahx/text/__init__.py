"""Text for people, for all packages: safe printing, plurals, suggestions."""
