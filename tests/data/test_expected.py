"""Whether data should lead to a submission: then a run without test images is refused."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from kagglekit import Competition, UserError
from kagglekit.data.expected import check_tests, why_submission

ONLY_TRAIN = pd.DataFrame({"split": ["train", "valid"]})


@pytest.mark.parametrize(
    ("names", "slug", "why"),
    [
        (["train/1.jpg"], None, ""),
        (["train/1.jpg", "SampleSubmission.csv.zip"], None, "SampleSubmission.csv.zip asks for predictions"),
        (["train/1.jpg", "test_images/1.jpg"], None, "has test_images"),
        (["train/1.jpg", "test-image.hdf5"], None, "has test-image.hdf5"),
        (["train/1.jpg"], "leaves", "the competition is on Kaggle as leaves"),
    ],
)
def test_a_sample_a_test_set_or_a_slug_ask_for_a_submission(
    tmp_path: Path, names: list[str], slug: str | None, why: str
) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    competition = Competition(title="Leaves", slug=slug)
    assert why_submission(tmp_path, competition).endswith(why)
    assert bool(why_submission(tmp_path, competition)) == bool(why)
    if why:
        with pytest.raises(UserError, match="no test images, so no submission could be written, but"):
            check_tests(ONLY_TRAIN, tmp_path, competition)
    else:
        check_tests(ONLY_TRAIN, tmp_path, competition)
    check_tests(pd.DataFrame({"split": ["train", "test"]}), tmp_path, competition)
