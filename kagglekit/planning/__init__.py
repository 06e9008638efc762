"""From the request to a plan, without loading a network."""
