"""The quick recipes that tests of whole runs train, whatever the competitions' own are.

Those are measured and change; stages that tests count, stop and set by number do not. The competitions' own recipes are
checked in tests/competitions, and seen in tests/docs.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager

OWN = ("competitions", "docs")  # folders of tests of the competitions' own recipes
VARIABLE = "TESTS_FOUR_STAGES"  # tells forks
STAGES = {
    "kagglekit_dog_breed": {"head_size": 160, "lr": 5e-5, "body_factor": 10, "cycle_len": 2},
    "kagglekit_dogs_vs_cats": {"body_factor": 10},
    "kagglekit_flowers_102": {"lr": 1e-3, "cycle_len": 2},
    "kagglekit_pets": {},
}


def use() -> dict[str, object]:
    """Let the quick preset have four stages, with mirror images; return the competitions' own recipes by module."""
    from kagglekit import progressive_stages

    own = {}
    for name, fields in STAGES.items():
        recipes = importlib.import_module(name).RECIPES
        own[name] = recipes["quick"]
        stages = progressive_stages((128, 160), batch_norm="keep", **fields)
        recipes["quick"] = own[name].model_copy(update={"stages": stages, "tta": 1, "tta_views": "flip"})
    return own


@contextmanager
def used() -> Iterator[None]:
    """Use them within the block, here and in forks that begin in it."""
    own, before = use(), os.environ.get(VARIABLE)
    os.environ[VARIABLE] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        for name, recipe in own.items():
            importlib.import_module(name).RECIPES["quick"] = recipe
