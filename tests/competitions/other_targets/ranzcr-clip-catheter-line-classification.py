"""Eleven labels, a column of 0 and 1 each, scored by the mean of their areas; images of a patient stay together."""

from kagglekit import Competition, hookimpl, labels_from_csv

TUBES = ("ETT - Abnormal", "ETT - Borderline", "ETT - Normal")
TUBES += ("NGT - Abnormal", "NGT - Borderline", "NGT - Incompletely Imaged", "NGT - Normal")
TUBES += ("CVC - Abnormal", "CVC - Borderline", "CVC - Normal", "Swan Ganz Catheter Present")


@hookimpl
def kagglekit_competition():
    return Competition(
        title="RANZCR CLiP",
        slug="ranzcr-clip-catheter-line-classification",
        task="multi-label",
        targets=TUBES,
        metric="roc_auc",
    )


@hookimpl
def kagglekit_labels(data):
    columns = {"id_column": "StudyInstanceUID", "target_columns": TUBES, "group_column": "PatientID"}
    return labels_from_csv(data / "train.csv", images=data / "train", suffix=".jpg", test=data / "test", **columns)
