"""Several labels in a cell; an image is four files, a channel each; macro F1 has a threshold a label."""

from kagglekit import Competition, hookimpl, labels_from_csv


@hookimpl
def kagglekit_competition():
    return Competition(
        title="Human Protein Atlas Image Classification",
        slug="human-protein-atlas-image-classification",
        task="multi-label",
        metric="macro_f1",
    )


@hookimpl
def kagglekit_labels(data):
    folders = {"images": data / "train", "test": data / "test", "suffix": "_{red,green,blue,yellow}.png"}
    columns = {"id_column": "Id", "label_column": "Target", "separator": " "}
    return labels_from_csv(data / "train.csv", **folders, **columns)
