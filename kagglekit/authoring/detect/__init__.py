"""Detect the layout of an unknown data folder."""
