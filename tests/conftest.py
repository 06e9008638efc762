"""What several test modules share because it takes seconds to make."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import layouts
import pytest
from test_runs import tiny_run

from kagglekit import Run


@dataclass(frozen=True)
class Finished:
    """A finished run of dog-breed on tiny pictures.

    Attributes:
        run: Its folder; whoever changes it puts it back.
        data: What it was trained on; likewise.
        said: What it printed.
        truth: The test images' classes.
    """

    run: Run
    data: Path
    said: str
    truth: dict[str, str]


@pytest.fixture(scope="session")
def dogs(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    data = tmp_path_factory.mktemp("dog-breed") / "data"
    truth = layouts.write_dog_breed(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KAGGLEKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        run, said = tiny_run("dog-breed", data, tmp_path_factory.mktemp("out"))
    return Finished(run, data, said, truth)
