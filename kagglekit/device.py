"""Where and how a run computes."""
