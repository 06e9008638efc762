"""A number an image, between 1 and 100."""

from kagglekit import Competition, hookimpl, labels_from_csv


@hookimpl
def kagglekit_competition():
    return Competition(
        title="PetFinder Pawpularity",
        slug="petfinder-pawpularity-score",
        task="regression",
        bounds=(1, 100),
        metric="rmse",
    )


@hookimpl
def kagglekit_labels(data):
    columns = {"id_column": "Id", "label_column": "Pawpularity"}
    return labels_from_csv(data / "train.csv", images=data / "train", suffix=".jpg", test=data / "test", **columns)
