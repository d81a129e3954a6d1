"""The state of training jobs, which no operation and no thread owns: their table, quotas and warm pools."""
