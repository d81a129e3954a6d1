"""Transformers that learn to rewrite strings, exactly and at any length."""

__version__ = "0.1.0"
