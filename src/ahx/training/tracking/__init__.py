"""Trackers: TensorBoard and MLflow receive the evaluations of a run while it trains (docs/tracking.md)."""
