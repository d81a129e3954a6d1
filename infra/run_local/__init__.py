"""Running one job on this machine, as a process, a container, or by SageMaker's local mode."""
