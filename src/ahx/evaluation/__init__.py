"""Using a trained model, and measuring it: verdicts, reports, certificates, runs of machines, conversation."""
