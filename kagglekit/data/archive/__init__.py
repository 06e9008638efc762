"""Unpack archives safely, nested ones too."""
