"""Six labels an image, in a row of the CSV each; `any` counts twice; patients are in the DICOM headers."""

from kagglekit import Competition, hookimpl, labels_from_long_csv

KINDS = ("epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural", "any")


@hookimpl
def kagglekit_competition():
    return Competition(
        title="RSNA Intracranial Hemorrhage Detection",
        slug="rsna-intracranial-hemorrhage-detection",
        task="multi-label",
        targets=KINDS,
        metric="log_loss",
        metric_weights={"any": 2},
    )


@hookimpl
def kagglekit_labels(data):
    from pydicom import dcmread

    base = data / "rsna-intracranial-hemorrhage-detection"
    table = labels_from_long_csv(
        base / "stage_2_train.csv",
        images=base / "stage_2_train",
        suffix=".dcm",
        id_column="ID",
        value_column="Label",
        targets=KINDS,
        test=base / "stage_2_test",
    )
    headers = [dcmread(path, stop_before_pixels=True, specific_tags=["PatientID"]) for path in table["path"]]
    return table.assign(group=[str(header.PatientID) for header in headers])
