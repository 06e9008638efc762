"""Plain data that travels between packages."""
