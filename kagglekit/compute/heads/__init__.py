"""Heads on a network's frozen features, as modules."""
