"""Device, precision and network, without data."""
