"""Train one stage after the other, from a network to snapshots."""
