"""One class an image, in a column each; train and test images in one folder."""

from kagglekit import Competition, hookimpl, labels_from_csv

CLASSES = ("healthy", "multiple_diseases", "rust", "scab")


@hookimpl
def kagglekit_competition():
    return Competition(title="Plant Pathology 2020", slug="plant-pathology-2020-fgvc7", metric="roc_auc")


@hookimpl
def kagglekit_labels(data):
    folders = {"images": data / "images", "test": data / "images", "suffix": ".jpg"}
    return labels_from_csv(data / "train.csv", id_column="image_id", label_columns=CLASSES, **folders)
