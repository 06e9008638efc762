"""From what was asked to what will be done, without loading a network."""
