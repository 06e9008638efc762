"""Recognize the layout of a data folder that kagglekit has never seen."""
