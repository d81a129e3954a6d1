"""Training interpreters: random programs with runs. A new interpreter is a writer here and a line in writers.py."""
