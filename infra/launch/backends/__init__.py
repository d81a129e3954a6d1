"""Where jobs run. A new backend is a class like `Backend`, a name in BACKENDS (options.py) and a line in choose.py."""
