"""A run on disk: its folder, lock, checkpoints and history."""
