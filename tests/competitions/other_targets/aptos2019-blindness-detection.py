"""Ordered grades, 0 to 4: a number and cuts, which are found for the kappa."""

from kagglekit import Competition, hookimpl, labels_from_csv


@hookimpl
def kagglekit_competition():
    return Competition(
        title="APTOS 2019 Blindness Detection",
        slug="aptos2019-blindness-detection",
        task="ordinal",
        bounds=(0, 4),
        metric="quadratic_kappa",
    )


@hookimpl
def kagglekit_labels(data):
    columns = {"id_column": "id_code", "label_column": "diagnosis"}
    return labels_from_csv(
        data / "train.csv", images=data / "train_images", suffix=".png", test=data / "test_images", **columns
    )
