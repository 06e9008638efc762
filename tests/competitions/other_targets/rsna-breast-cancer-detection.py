"""A probability a breast, of which there are several images; both breasts of a patient stay together."""

from kagglekit import Competition, hookimpl, labels_from_csv


@hookimpl
def kagglekit_competition():
    return Competition(
        title="RSNA Breast Cancer Detection",
        slug="rsna-breast-cancer-detection",
        metric="probabilistic_f1",
        positive="1",
        rows="mean",
    )


@hookimpl
def kagglekit_labels(data):
    import pandas as pd

    train = labels_from_csv(
        data / "train.csv",
        images=data / "train_images",
        suffix=".dcm",
        id_column="image_id",
        label_column="cancer",
        group_column="patient_id",
        row_column=["patient_id", "laterality"],
    )
    columns = {"id_column": "image_id", "row_column": "prediction_id", "group_column": "patient_id"}
    test = labels_from_csv(data / "test.csv", images=data / "test_images", suffix=".dcm", split="test", **columns)
    return pd.concat([train, test])
