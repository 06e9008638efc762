"""Where things lie that tests look at."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
SUPPORT = TESTS / "support"
DOCS = ROOT / "docs"
DISTRIBUTIONS = TESTS / "distributions"
SHARED = ROOT.parent / "shared"
"""Real images and weights; no part of the project."""
