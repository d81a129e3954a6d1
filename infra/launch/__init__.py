"""The launcher: a sweep or a study becomes jobs, which are submitted to a backend, watched, ranked and collected."""
