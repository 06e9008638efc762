"""From snapshots to probabilities, scores and a submission."""
