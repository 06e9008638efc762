"""Templates of a new plugin's source."""

from __future__ import annotations

from string import Template

PLUGIN = Template('''\
"""The competition $name. Created by `kagglekit new`; lines marked CHECK are guesses.

kagglekit look $called --data DIR     summarize the images and labels
kagglekit check $called --data DIR    check each part of this file on a few images
kagglekit run $called --data DIR      train, predict, write submission.csv
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kagglekit import $imports

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
$notes$targets

@hookimpl
def kagglekit_competition() -> Competition:
    """Return the competition's facts."""
    return Competition(
$competition
    )


@hookimpl
def kagglekit_labels(data: Path) -> pd.DataFrame:
    """Return one row for each image: id, path, label, split."""
$labels


@hookimpl
def kagglekit_recipe(preset: str) -> Recipe | None:
    """Return the recipe of `--preset quick`; `None` keeps the default recipes of the other presets."""
    if preset != "quick":
        return None
$recipe
$submission''')

RECIPE = Template("""\
    $why
    # Worth trying: views="top_down" for images without up and down (satellites, microscopes), plain="pad" if the
    # edges of long images matter, lr=1e-3 for images unlike photographs, cycles=3 to train longer.
    return Recipe(
        arch="mobilenetv4_conv_medium.e500_r224_in1k",  # `kagglekit models PATTERN` lists others
        stages=progressive_stages($sizes, ${settings}batch_norm="keep"),
    )
""")

NAMES = Template('''
@hookimpl
def kagglekit_submission(predictions: pd.DataFrame, sample: pd.DataFrame | None) -> pd.DataFrame:
    """Write each image's predicted class."""
    # CHECK: the sample submission does not hold class names; are its values placeholders, or is it another form?
    rows = predictions if sample is None else predictions.loc[list(sample.iloc[:, 0])]
    return rows.idxmax(axis=1).to_frame($value).reset_index(names=$image)
''')

FILLED = Template('''
@hookimpl
def kagglekit_submission(predictions: pd.DataFrame, sample: pd.DataFrame | None) -> pd.DataFrame:
    """Write the probabilities, a small one for the classes that no labelled image has."""
    # CHECK: the sample submission has $n without a labelled image: are the data complete?
    if sample is None:
        return predictions.reset_index(names=$image)
    rows = predictions.loc[list(sample.iloc[:, 0])]
    return rows.reindex(columns=list(sample.columns[1:]), fill_value=1e-5).reset_index(names=$image)
''')

COLUMNS = Template('''
@hookimpl
def kagglekit_submission(predictions: pd.DataFrame, sample: pd.DataFrame | None) -> pd.DataFrame:
    """Write the probabilities into the columns of the sample submission."""
    # CHECK: its columns are not class names. Map each class to its column; here both are in sorted order.
    columns = $columns
    named = dict(zip(sorted(predictions.columns), columns, strict=True))
    rows = predictions if sample is None else predictions.loc[list(sample.iloc[:, 0])]
    return rows.rename(columns=named)[columns].reset_index(names=$image)
''')
