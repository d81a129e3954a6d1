"""State that survives a restart: snapshots, a journal of changes, and the lock under which they are saved."""
