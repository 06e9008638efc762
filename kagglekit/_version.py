"""The version, in a module that everything below the front door can import."""

__version__ = "0.1.0"
