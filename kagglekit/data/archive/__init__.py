"""Unpack archives safely, nested ones too."""

from kagglekit.data.archive.nested import extract_nested as extract_nested
