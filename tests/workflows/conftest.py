"""What the tests of interrupted runs share."""

from __future__ import annotations

from pathlib import Path

import layouts
import pytest


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write dog-breed's layout with 24 labelled and 6 test images; other modules define data of their own."""
    folder = tmp_path_factory.mktemp("dogs")
    layouts.write_dog_breed(folder, per_class=6, test=6)
    return folder
