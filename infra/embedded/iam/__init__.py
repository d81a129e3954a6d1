"""Whether policies allow a call: their evaluation, and the Simulate operations of IAM."""
