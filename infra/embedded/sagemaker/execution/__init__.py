"""Running one training job: channels, hosts, the program, logs, metrics, artifacts."""
