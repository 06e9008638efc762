"""Several labels in a cell, separated by blanks; the CSV has those above the thresholds found for the metric."""

from kagglekit import Competition, hookimpl, labels_from_csv


@hookimpl
def kagglekit_competition():
    return Competition(
        title="Plant Pathology 2021", slug="plant-pathology-2021-fgvc8", task="multi-label", metric="sets_f1"
    )


@hookimpl
def kagglekit_labels(data):
    columns = {"id_column": "image", "label_column": "labels", "separator": " "}
    return labels_from_csv(data / "train.csv", images=data / "train_images", test=data / "test_images", **columns)
