"""Logs of long commands: a file on disk, copied to CloudWatch Logs."""
