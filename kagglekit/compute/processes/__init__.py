"""Processes that share one training."""
