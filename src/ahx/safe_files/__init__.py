"""Safe access to files, for all packages: atomic writes, user files, untrusted folders and archives."""
