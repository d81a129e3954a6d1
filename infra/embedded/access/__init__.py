"""Whether a request is accepted: host and origin, access key, signature, checksums. Permissions are in `iam`."""
