from __future__ import annotations

import pytest

from kagglekit.authoring.detect.layout import Sample
from kagglekit.authoring.kaggle_metrics import METRICS, RANKS_UNKNOWN, our_metric
from kagglekit.authoring.plugin_facts import Facts
from kagglekit.authoring.scaffold import USUAL, plugin_text
from kagglekit.types.metric import BUILT_IN_METRICS

OURS = {
    "Area Under Receiver Operating Characteristic Curve": "roc_auc",
    "Mean Columnwise Area Under Receiver Operating Characteristic Curve": "roc_auc",
    "Mean Columnwise ROC AUC": "roc_auc",
    "Mean Column-wise ROC AUC": "roc_auc",
    "AUC": "roc_auc",
    "ISIC Challenge pAUC-aboveTPR": "partial_auc_80",
    "Categorization Accuracy": "accuracy",
    "Balanced Accuracy Score": "balanced_accuracy",
    "Macro Averaged Recall": "balanced_accuracy",
    "LogLoss": "log_loss",
    "Log Loss": "log_loss",
    "MultiClass Log Loss": "log_loss",
    "MulticlassLoss": "log_loss",
    "Quadratic Weighted Kappa": "quadratic_kappa",
    "QuadraticWeightedKappa": "quadratic_kappa",
    "MAP@{K}": "map_at_5",
    "MAP@3": "map_at_3",
    "Mean Average Precision @ 5": "map_at_5",
    "Top-5 Error": "top_5_error",
    "Top 1 Categorization Error": "top_1_error",
    "Mean Best Error At K": "top_5_error",
    "Macro F-Score": "macro_f1",
    "MacroFScore": "macro_f1",
    "F1 Macro": "macro_f1",
    "F_{beta} Macro": "macro_f1",
    "F_{beta} Micro": "micro_f1",
    "F-Score Beta (Micro)": "micro_f1",
    "Micro-averaged F1-Score": "micro_f1",
    "Macro F2": "macro_f2",
    "Weighted F1": "weighted_f1",
    "Probabilistic F1": "probabilistic_f1",
    "RSNA pF1": "probabilistic_f1",
    "Brier Score": "brier",
    "Root Mean Squared Error": "rmse",
    "RootMeanSquaredError": "rmse",
    "RMSE": "rmse",
    "Mean Squared Error": "rmse",
    "Mean Columnwise Root Mean Squared Error": "mcrmse",
    "MCRMSE": "mcrmse",
    "Root Mean Squared Logarithmic Error": "rmsle",
    "RMSLE": "rmsle",
    "Mean Absolute Error": "mae",
    "MAE": "mae",
    "R2 Score": "r2",
    "R^2": "r2",
    "Coefficient of Determination": "r2",
    "Weighted R2": "weighted_r2",
    "CSIRO Weighted R2 Score": "weighted_r2",
    "biomass_weighted_r2": "weighted_r2",
    "Pearson Correlation Coefficient": "pearson",
    "Mean Columnwise Spearman's Correlation Coefficient": "spearman",
    "Mean F1-Score": "sets_f1",
    "Mean F1 Score": "sets_f1",
    "Mean FScore": "sets_f1",
    "MeanFScore": "sets_f1",
    "Mean F-Score": "sets_f1",
    "Mean F-Score (Beta)": "sets_f1",
    "MeanFScoreBeta": "sets_f1",
    "F1 Score": "sets_f1",
    "F2 score": "sets_f2",
    "Mean F2 Score": "sets_f2",
    "Mean F-Score (Beta=2)": "sets_f2",
    "F-Score Micro F2": "micro_f2",
    "Mean Columnwise Log Loss": "log_loss",
    "MeanColumnwiseLogLoss": "log_loss",
    "Weighted Multi-label Logarithmic Loss": "log_loss",
    "Weighted Multi-label Log Loss": "log_loss",
    "Logarithmic Loss": "log_loss",
    "Weighted AUC": "weighted_auc",
    "Weighted Area Under the ROC Curve": "weighted_auc",
    "Hierarchical Macro-averaged Recall": "balanced_accuracy",
}
NONE = {
    "Weighted Multiclass Loss": "weights",
    "Weighted RMSE": "weights",
    "Weighted Categorization Accuracy": "weights",
    "Dice": "regions",
    "Intersection Over Union Object Segmentation": "regions",
    "Open Images Object Detection AP": "regions",
    "MAP@7": "no metric counts 7",
    "Precision-Recall Area Under Curve": "",
    "Matthews Correlation Coefficient": "",
    "Mean Absolute Percentage Error": "",
    "": "",
}
TO_CHECK = {
    "Weighted Multi-label Log Loss": "set Competition.metric_weights",
    "Weighted R2": "set Competition.metric_weights",
    "Weighted AUC": "below a true positive rate of 0.4 count twice",
    "Mean F-Score (Beta)": "which beta",
    "F1 Score": "averaged over",
    "Mean Squared Error": "its square",
}


@pytest.mark.parametrize(("kaggles", "ours"), OURS.items())
def test_kaggles_names_are_recognised(kaggles: str, ours: str) -> None:
    assert our_metric(kaggles).name == ours


@pytest.mark.parametrize(("kaggles", "note"), NONE.items())
def test_what_no_metric_fits_has_none_and_says_why(kaggles: str, note: str) -> None:
    assert our_metric(kaggles).name == ""
    assert note in our_metric(kaggles).note


@pytest.mark.parametrize(("kaggles", "note"), TO_CHECK.items())
def test_what_the_name_does_not_say_is_noted(kaggles: str, note: str) -> None:
    assert note in our_metric(kaggles).note
    assert our_metric("Mean F1-Score").note == ""


def test_every_line_of_the_table_names_metrics_that_exist() -> None:
    for _, name, _ in METRICS:
        assert not name or name.format(k=5) in BUILT_IN_METRICS


def test_what_the_name_leaves_open_is_to_be_checked() -> None:
    assert our_metric("MAP@{K}").note == RANKS_UNKNOWN
    assert our_metric("MAP@3").note == ""
    assert "CHECK: on Kaggle: F_{beta} Macro; Kaggle does not say which beta" in written("F_{beta} Macro", None)


def written(kaggles: str, sample: Sample | None) -> str:
    """The plugin's text without the breaks of its comments."""
    ours = our_metric(kaggles)
    layout = USUAL.__class__(USUAL.labels, USUAL.test, sample, 0, ())
    text = plugin_text(Facts("whales", metric=ours.name, kaggle_metric=kaggles, metric_note=ours.note), layout)
    return " ".join(line.strip(" #") for line in text.splitlines())


def ranks(names: int) -> Sample:
    return Sample("class names", ("Image", "Id"), None, {}, ("one other",), names=names)


def test_the_sample_submission_says_how_many_ranks_count() -> None:
    text = written("MAP@{K}", ranks(3))
    assert 'metric="map_at_3"' in text
    assert "on Kaggle: MAP@{K}; sample_submission.csv has 3 names in a cell" in text
    assert "CHECK: on Kaggle" not in text
    text = written("MAP@{K}", None)
    assert 'metric="map_at_5"' in text
    assert "CHECK: on Kaggle: MAP@{K}; Kaggle does not say how many" in text
    assert 'metric="map_at_3"' in written("MAP@3", ranks(5)), "Kaggle's own number counts"


def test_without_kaggle_ranked_names_in_the_sample_decide() -> None:
    text = written("", ranks(5))
    assert 'metric="map_at_5"' in text
    assert "CHECK: guessed, because the sample submission asks for the names of the 5 likeliest classes" in text
    assert 'metric="accuracy"' in written("", ranks(7)), "there is no such metric"
