"""Five ranked whales a row; the unknown one is inserted where the likeliest is less likely than a threshold."""

from kagglekit import Competition, Recipe, hookimpl, labels_from_csv, progressive_stages


@hookimpl
def kagglekit_competition():
    return Competition(title="Humpback Whales", slug="humpback-whale-identification", metric="map_at_5")


@hookimpl
def kagglekit_labels(data):
    columns = {"id_column": "Image", "label_column": "Id"}
    return labels_from_csv(data / "train.csv", images=data / "train", test=data / "test", **columns)


@hookimpl
def kagglekit_recipe(preset):
    if preset != "quick":
        return None
    return Recipe(
        arch="mobilenetv3_small_100.lamb_in1k",
        stages=progressive_stages((64, 128), batch_size=8, batch_norm="keep"),
        decision="new-class",
        options={"new_class": "new_whale"},
    )
