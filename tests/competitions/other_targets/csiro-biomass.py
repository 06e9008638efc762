"""Five numbers an image, in a row of the CSV each, with weights in the metric."""

from kagglekit import Competition, hookimpl, labels_from_long_csv

WEIGHTS = {"Dry_Clover_g": 0.1, "Dry_Dead_g": 0.1, "Dry_Green_g": 0.1, "Dry_Total_g": 0.5, "GDM_g": 0.2}


@hookimpl
def kagglekit_competition():
    return Competition(
        title="CSIRO Biomass",
        slug="csiro-biomass",
        task="regression",
        targets=tuple(WEIGHTS),
        bounds=(0, None),
        metric="weighted_r2",
        metric_weights=WEIGHTS,
    )


@hookimpl
def kagglekit_labels(data):
    import pandas as pd

    columns = {"id_column": "sample_id", "separator": "__", "file_column": "image_path", "targets": tuple(WEIGHTS)}
    train = labels_from_long_csv(
        data / "train.csv", images=data, value_column="target", metadata=["State", "Sampling_Date"], **columns
    )
    if train["Sampling_Date"].nunique() > 1:  # images of a day are alike
        train["group"] = train["State"] + " " + train["Sampling_Date"]
    return pd.concat([train, labels_from_long_csv(data / "test.csv", images=data, split="test", **columns)])
