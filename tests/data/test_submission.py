from __future__ import annotations

import csv
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from places import SHARED
from samples import sample_rows

import kagglekit_submission as plugin
from kagglekit import Competition, MultiLabel, Regression, SingleLabel, UserError
from kagglekit.data.submission import check_file, check_submission, doubt, write_submission
from kagglekit.types.predictions import check_predictions, make_predictions

PETS = Competition(title="Pets", metric="log_loss")
DOGS = Competition(title="Dogs", metric="log_loss", positive="dog")
DATA = SHARED / "data"


def three() -> pd.DataFrame:
    return make_predictions(["b", "a"], ["cat", "dog", "emu"], [[0.25, 0.5, 0.25], [0.125, 0.125, 0.75]])


def two(ids: tuple[str, ...] = ("2", "10", "1")) -> pd.DataFrame:
    up = np.linspace(0.25, 0.75, len(ids))
    return make_predictions(ids, ["cat", "dog"], np.stack([1 - up, up], 1))


def sample_of(text: str) -> pd.DataFrame:
    header, *rows = (line.split(",") for line in text.split())
    return pd.DataFrame(rows, columns=header, dtype="str")


def written(rows: pd.DataFrame, folder: Path) -> str:
    write_submission(rows, folder / "submission.csv")
    return (folder / "submission.csv").read_bytes().decode()


def check(rows: pd.DataFrame, sample: pd.DataFrame | None, predictions: pd.DataFrame, competition: Competition) -> None:
    check_submission(rows, sample, predictions, competition, SingleLabel(tuple(predictions.columns)))


def clipped(table: pd.DataFrame, clip: float) -> pd.DataFrame:
    return SingleLabel(tuple(table.columns)).clip(table, clip)


def submitted(competition: Competition, table: pd.DataFrame, sample: pd.DataFrame | None, folder: Path) -> str:
    """The text of the CSV, after its checks."""
    rows = plugin.kagglekit_submission(competition, table, sample)
    check(rows, sample, table, competition)
    return written(rows, folder)


# --- forms


def test_a_column_a_class_follows_the_samples_columns_and_ids(tmp_path: Path) -> None:
    sample = sample_of("image,emu,cat,dog\na,0.3,0.3,0.4\nb,1,0,0")
    text = submitted(PETS, three(), sample, tmp_path)
    assert text == "image,emu,cat,dog\na,0.75,0.125,0.125\nb,0.25,0.25,0.5\n"


def test_one_probability_is_that_of_the_positive_class_with_integer_ids_as_text(tmp_path: Path) -> None:
    text = submitted(DOGS, two(), sample_of("id,label\n1,0.5\n2,0.5\n10,0.5"), tmp_path)
    assert text == "id,label\n1,0.75\n2,0.25\n10,0.5\n"


def test_a_column_named_after_a_class_needs_no_positive(tmp_path: Path) -> None:
    text = submitted(PETS, two(), sample_of("id,cat\n1,0\n2,0\n10,0"), tmp_path)
    assert text == "id,cat\n1,0.25\n2,0.75\n10,0.5\n"


def test_a_label_column_holds_the_likeliest_class(tmp_path: Path) -> None:
    text = submitted(PETS, three(), sample_of("id,breed\nb,cat\na,cat"), tmp_path)
    assert text == "id,breed\nb,dog\na,emu\n"


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss", "brier", "partial_auc_80", "probabilistic_f1"])
@pytest.mark.parametrize("names", [("0", "1"), ("0.0", "1.0"), ("False", "True")])
def test_a_column_of_0_and_1_holds_the_probability_of_1_if_the_metric_needs_one(
    tmp_path: Path, metric: str, names: tuple[str, str]
) -> None:
    facts = Competition(title="Pets", metric=metric)
    table, sample = two().set_axis(list(names), axis="columns"), sample_of("id,label\n1,0\n2,0\n10,0")
    assert submitted(facts, table, sample, tmp_path) == "id,label\n1,0.75\n2,0.25\n10,0.5\n"
    other = facts.model_copy(update={"positive": names[0]})
    assert submitted(other, table, sample, tmp_path) == "id,label\n1,0.25\n2,0.75\n10,0.5\n"


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "quadratic_kappa", "top_1_error", "a plugin's own"])
def test_a_column_of_0_and_1_holds_labels_if_the_metric_takes_them(tmp_path: Path, metric: str) -> None:
    table, sample = two().set_axis(["0", "1"], axis="columns"), sample_of("id,label\n1,0\n2,0\n10,0")
    facts = Competition(title="Pets", metric=metric)
    assert submitted(facts, table, sample, tmp_path) == "id,label\n1,1\n2,0\n10,0\n"


ZEROS, HALVES, NAMES, RANKS = (f"id,label\n1,{v}\n2,{v}\n10,{v}" for v in ("0", "0.5", "cat", "cat_dog"))
BOTH = "id,cat,dog\n1,1,0\n2,1,0\n10,1,0"


@pytest.mark.parametrize(
    ("metric", "positive", "classes", "sample", "words"),
    [
        ("roc_auc", None, ["cat", "dog"], NAMES, r"'label' .* one class, .*\n.*Competition.positive .*metric"),
        ("log_loss", None, ["cat", "dog"], ZEROS, r"'label' .* one class, .*\n.*Competition.positive"),
        ("accuracy", "dog", ["cat", "dog"], HALVES, "accuracy is computed from class names, but the column 'label'"),
        ("macro_f1", "1", ["0", "1"], ZEROS, "macro_f1 is computed from class names, but Competition.positive asks"),
        ("accuracy", "1", ["0", "1"], "", "accuracy is computed from class names, but Competition.positive asks"),
        (
            "quadratic_kappa",
            "1",
            ["0", "1"],
            ZEROS,
            "quadratic_kappa is computed from class names, but Competition.pos",
        ),
        ("map_at_5", "dog", ["cat", "dog"], HALVES, "map_at_5 is computed from class names, but the column 'label'"),
        ("probabilistic_f1", None, ["cat", "dog"], NAMES, r"'label' .* one class, .*\n.*Competition.positive .*metric"),
        ("macro_f2", None, ["cat", "dog"], BOTH, "macro_f2 is computed from class names, .* a column of probabilities"),
        ("map_at_3", None, ["cat", "dog"], BOTH, "map_at_3 is computed from class names, .* a column of probabilities"),
        ("weighted_f1", None, ["cat", "dog"], RANKS, "weighted_f1 is computed from one class name, .* 2 in a cell"),
    ],
)
def test_a_contradiction_of_metric_and_form_is_refused(
    metric: str, positive: str | None, classes: list[str], sample: str, words: str
) -> None:
    facts = Competition(title="Pets", metric=metric, positive=positive)
    rows = sample_of(sample).replace("cat_dog", "cat dog") if sample else None
    with pytest.raises(UserError, match=words):
        plugin.kagglekit_submission(facts, two().set_axis(classes, axis="columns"), rows)


@pytest.mark.parametrize("metric", ["roc_auc", "brier"])
def test_probabilities_of_many_classes_have_no_single_column(metric: str) -> None:
    facts = Competition(title="Pets", metric=metric)
    with pytest.raises(
        UserError, match=rf"{metric} is computed from probabilities, .* one column, 'breed', for 3 classes"
    ):
        plugin.kagglekit_submission(facts, three(), sample_of("id,breed\nb,cat\na,cat"))


def test_hard_labels_under_log_loss_are_a_doubt() -> None:
    rows = plugin.kagglekit_submission(PETS, three(), sample_of("id,breed\nb,cat\na,cat"))
    assert "hard labels, but log loss is computed from probabilities" in doubt(rows, "log_loss")
    assert doubt(rows, "accuracy") == ""
    assert doubt(plugin.kagglekit_submission(PETS, three(), None), "log_loss") == ""


@pytest.mark.parametrize("metric", ["log_loss", "accuracy"])
def test_classes_may_be_called_as_our_columns_are(tmp_path: Path, metric: str) -> None:
    table = three().set_axis(["id", "label", "id_2"], axis="columns")
    text = submitted(Competition(title="Pets", metric=metric), table, None, tmp_path)
    assert (
        text
        == {
            "log_loss": "id_3,id,label,id_2\nb,0.25,0.5,0.25\na,0.125,0.125,0.75\n",
            "accuracy": "id_3,label_2\nb,label\na,id_2\n",
        }[metric]
    )
    sample = sample_of("image,id_2,label,id\na,0,0,1\nb,0,0,1")
    assert submitted(PETS, table, sample, tmp_path).splitlines()[1] == "a,0.75,0.125,0.125"


def test_k_best_labels_stand_in_one_column_best_first(tmp_path: Path) -> None:
    sample = sample_of("id,labels\nb,cat_dog\na,dog")
    sample["labels"] = sample["labels"].str.replace("_", " ")
    text = submitted(PETS, three(), sample, tmp_path)
    assert text == "id,labels\nb,dog cat\na,emu cat\n"  # of equal ones the first class leads


@pytest.mark.parametrize("shown", ["cat", "cat_dog", ""])
@pytest.mark.parametrize("metric", ["map_at_2", "map_at_5", "top_3_error"])
def test_a_metric_of_ranks_gets_as_many_names_as_it_counts(tmp_path: Path, metric: str, shown: str) -> None:
    facts, sample = Competition(title="Pets", metric=metric), sample_of(f"id,labels\nb,{shown}\na,{shown}")
    sample["labels"] = sample["labels"].str.replace("_", " ")
    names = ("dog cat", "emu cat") if metric == "map_at_2" else ("dog cat emu", "emu cat dog")  # there are only three
    assert submitted(facts, three(), sample, tmp_path) == f"id,labels\nb,{names[0]}\na,{names[1]}\n"
    assert submitted(facts, three(), None, tmp_path) == f"id,label\nb,{names[0]}\na,{names[1]}\n"


def test_more_ranks_in_the_sample_than_count_are_written_as_the_sample_shows() -> None:
    sample = sample_of("id,labels\nb,cat_dog_emu\na,dog")
    sample["labels"] = sample["labels"].str.replace("_", " ")
    rows = plugin.kagglekit_submission(Competition(title="Pets", metric="top_1_error"), three(), sample)
    assert rows["labels"].tolist() == ["dog cat emu", "emu cat dog"]


def test_names_with_blanks_cannot_be_ranked_in_a_cell() -> None:
    table = three().set_axis(["house cat", "dog", "emu"], axis="columns")
    with pytest.raises(UserError, match="5 class names in a cell are separated by blanks, but 'house cat' has some"):
        plugin.kagglekit_submission(Competition(title="Pets", metric="map_at_5"), table, None)


def test_an_empty_label_column_gets_labels(tmp_path: Path) -> None:
    assert submitted(PETS, three(), sample_of("id,label\na,\nb,"), tmp_path) == "id,label\na,emu\nb,dog\n"


def test_without_a_sample_the_form_follows_from_the_competition(tmp_path: Path) -> None:
    accuracy = Competition(title="Pets", metric="accuracy")
    assert submitted(accuracy, three(), None, tmp_path) == "id,label\nb,dog\na,emu\n"
    assert submitted(PETS, three(), None, tmp_path) == "id,cat,dog,emu\nb,0.25,0.5,0.25\na,0.125,0.125,0.75\n"
    assert submitted(DOGS, two(), None, tmp_path) == "id,label\n1,0.75\n2,0.25\n10,0.5\n"


@pytest.mark.parametrize(
    ("competition", "table", "sample", "words"),
    [
        (
            PETS,
            three(),
            "id,cat,dog,fox\na,0,0,1\nb,0,0,1",
            r"missing emu; not expected: fox(.|\n)*use its names",
        ),
        (PETS, three(), "id,cat,Dog,emu\na,0,0,1\nb,0,0,1", "missing dog; not expected: Dog"),
        (PETS, three(), "id,label\na,0\nb,0", "'label' .* not class names: 0; the classes are cat, dog, emu"),
        (PETS, three(), "id,label\na,cat\nb,Emu", "not class names: Emu"),
        (
            PETS,
            two(),
            "id,label\n1,0.5\n2,0.5\n10,0.5",
            r"'label' .* not among \['cat', 'dog'\](.|\n)*Competition.positive",
        ),
        (
            PETS,
            three(),
            "id,label\na,cat\nc,cat",
            "ids differ from those of the sample submission: missing c; not expected: b",
        ),
        (DOGS, two(("1.0", "2.0")), "id,label\n1,0.5\n2,0.5", "missing 1, 2; not expected: 1.0, 2.0"),
    ],
)
def test_a_sample_that_does_not_fit_is_explained(
    competition: Competition, table: pd.DataFrame, sample: str, words: str
) -> None:
    with pytest.raises(UserError, match=words):
        plugin.kagglekit_submission(competition, table, sample_of(sample))


@pytest.mark.parametrize("ids", [("1_dry", "1_total", "2_dry", "2_total"), ("1__total", "1__Green", "2__total")])
def test_targets_that_the_sample_spells_otherwise_are_named(ids: tuple[str, ...]) -> None:
    task = Regression(("green", "total"), (0.0, 0.0), (1.0, 1.0))
    table = make_predictions(["1", "2"], task.columns, [[1, 2], [3, 4]])
    sample = sample_of("id,value\n" + "".join(f"{each},0\n" for each in ids))
    facts = Competition(title="Grass", task="regression", metric="rmse")
    said = rf"no targets: {'dry' if '1_dry' in ids else 'Green'}; the targets are green, total"
    with pytest.raises(UserError, match=said):
        plugin.submission(facts, table, sample, task)
    suffixes = sample_of("id,value\n1.jpg,0\n2.jpg,0\n")
    with pytest.raises(UserError, match="compare suffixes and leading zeros"):
        plugin.submission(facts, table, suffixes, task)


def test_a_positive_class_that_is_none_is_refused() -> None:
    wrong = Competition(title="Dogs", positive="wolf")
    with pytest.raises(UserError, match="'wolf' is not among"):
        plugin.kagglekit_submission(wrong, two(), sample_of("id,label\n1,0.5\n2,0.5\n10,0.5"))


# --- reading the sample


@pytest.mark.parametrize("name", ["sample_submission.csv", "sampleSubmission.csv", "sample_submission.csv.zip"])
def test_the_sample_is_read_as_text(tmp_path: Path, name: str) -> None:
    text = "\ufeffid,label\n007,NA\n1,\n"
    if name.endswith(".zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("sample_submission.csv", text)
    else:
        (tmp_path / name).write_text(text, encoding="utf-8")
    sample = sample_rows(tmp_path)
    assert sample is not None
    assert sample.to_dict("list") == {"id": ["007", "1"], "label": ["NA", ""]}


def test_a_folder_without_a_sample_has_none(tmp_path: Path) -> None:
    assert sample_rows(tmp_path) is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"id,label\n1,a\n1,b\n2,c\n", "duplicate ids: 1"),
        (b"id\n1\n", "1 columns and 1 rows"),
        (b"id,label\n", "2 columns and 0 rows"),
        (b"", "cannot read"),
        (b"id,label\n\xff\xfe,a\n", "cannot read"),
    ],
)
def test_a_broken_sample_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "sample_submission.csv").write_bytes(content)
    with pytest.raises(UserError, match=words) as caught:
        sample_rows(tmp_path)
    assert "sample_submission.csv" in str(caught.value)


def test_a_broken_zipped_sample_is_named(tmp_path: Path) -> None:
    (tmp_path / "sample_submission.csv.zip").write_bytes(b"PK no archive")
    with pytest.raises(UserError, match=r"cannot read .*sample_submission\.csv\.zip(.|\n)*download it again"):
        sample_rows(tmp_path)


# --- checks

SAMPLE = "id,cat,dog,emu\na,0,0,1\nb,0,0,1"


def good_rows() -> pd.DataFrame:
    return plugin.kagglekit_submission(PETS, three(), sample_of(SAMPLE))


def with_value(value: float) -> pd.DataFrame:
    rows = good_rows()
    rows.loc[1, "dog"] = np.float32(value)
    return rows


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (good_rows().drop(columns="dog"), "differs in its columns from sample_submission.csv: missing dog"),
        (good_rows().assign(fox=0.0), "differs in its columns from sample_submission.csv: not expected: fox"),
        (good_rows()[["id", "dog", "cat", "emu"]], "the right order is id, cat, dog, emu"),
        (good_rows().iloc[:1], "differs in its ids from sample_submission.csv: missing b"),
        (good_rows().assign(id=["a", "b.jpg"]), r"missing b; not expected: b.jpg(.|\n)*suffixes"),
        (good_rows().assign(id=["a", "a"]), "duplicate ids: a"),
        (good_rows().iloc[::-1], "not in the order of sample_submission.csv: row 1 is b, not a"),
        (with_value(np.nan), "not finite in 1 of 2 rows: ids b"),
        (with_value(1.5), r"not within \[0, 1\] in 1 of 2 rows: ids b"),
        (with_value(0.6), "do not sum to 1 over the classes in 1 of 2 rows: ids b"),
        (good_rows().assign(dog="much"), "non-numeric values"),
    ],
)
def test_rows_that_do_not_fit_are_refused(rows: pd.DataFrame, words: str) -> None:
    check(good_rows(), sample_of(SAMPLE), three(), PETS)
    with pytest.raises(UserError, match=f"the submission to Pets.*{words}"):
        check(rows, sample_of(SAMPLE), three(), PETS)


def test_rows_that_lost_predicted_images_are_refused() -> None:
    with pytest.raises(UserError, match="differs in its ids from the test predictions: missing a"):
        check(three().iloc[:1].reset_index(), None, three(), PETS)


def test_a_single_probability_and_labels_are_checked() -> None:
    sample = sample_of("id,label\n1,0.5\n2,0.5\n10,0.5")
    rows = plugin.kagglekit_submission(DOGS, two(), sample)
    rows.loc[0, "label"] = np.float32(-0.25)
    with pytest.raises(UserError, match=r"not within \[0, 1\] in 1 of 3 rows: ids 1"):
        check(rows, sample, two(), DOGS)
    for blank in ("", " ", None):
        with pytest.raises(UserError, match="no value in 'label' for ids 2"):
            check(rows.assign(label=["cat", blank, "dog"]), sample, two(), DOGS)


def test_integer_ids_compare_as_text() -> None:
    sample = sample_of("id,label\n1,0.5\n2,0.5\n10,0.5")
    rows = plugin.kagglekit_submission(DOGS, two(), sample)
    check(rows.assign(id=[1, 2, 10]), sample, two(), DOGS)
    with pytest.raises(UserError, match=r"not expected: 1\.0, 2\.0, 10\.0"):
        check(rows.assign(id=[1.0, 2.0, 10.0]), sample, two(), DOGS)


# --- writing


@settings(max_examples=50, deadline=None)
@given(values=st.lists(st.floats(0, 1, width=32), min_size=1, max_size=5))
def test_nine_digits_give_every_float32_back(values: list[float], tmp_path_factory: pytest.TempPathFactory) -> None:
    rows = pd.DataFrame({"id": [str(k) for k in range(len(values))], "label": np.array(values, dtype=np.float32)})
    text = written(rows, tmp_path_factory.mktemp("csv"))
    again = [np.float32(line.split(",")[1]) for line in text.splitlines()[1:]]
    assert again == list(rows["label"])


def test_text_with_commas_quotes_and_line_feeds_survives(tmp_path: Path) -> None:
    strange = ['a,"b"', "two\nlines", "plain", "犬 é"]
    rows = pd.DataFrame({"id, or so": strange, "label": strange[::-1]})
    written(rows, tmp_path)
    with (tmp_path / "submission.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [
            ["id, or so", "label"],
            *map(list, zip(strange, strange[::-1], strict=True)),
        ]


def test_a_long_csv_has_every_row_in_order_and_leaves_no_other_file(tmp_path: Path) -> None:
    ids = [f"i{k}" for k in range(10_000)]
    table = make_predictions(ids, ["cat", "dog"], np.random.default_rng(0).dirichlet([1, 1], len(ids)))
    write_submission(table.reset_index(), tmp_path / "submission.csv")
    again = pd.read_csv(tmp_path / "submission.csv", index_col="id", dtype={"cat": np.float32, "dog": np.float32})
    pd.testing.assert_frame_equal(again, table, check_exact=True, check_index_type=False, check_column_type=False)
    assert [path.name for path in tmp_path.iterdir()] == ["submission.csv"]


def test_the_row_order_of_predictions_changes_no_byte(tmp_path: Path) -> None:
    table, sample = three(), sample_of(SAMPLE)
    assert submitted(PETS, table, sample, tmp_path) == submitted(PETS, table.iloc[::-1], sample, tmp_path)


def test_a_failing_write_keeps_the_old_file(tmp_path: Path) -> None:
    class Unprintable:
        def __str__(self) -> str:
            raise ValueError("no text")

    write_submission(good_rows(), tmp_path / "submission.csv")
    before = (tmp_path / "submission.csv").read_bytes()
    with pytest.raises(ValueError, match="no text"):
        write_submission(pd.DataFrame({"id": ["a"], "label": [Unprintable()]}), tmp_path / "submission.csv")
    assert (tmp_path / "submission.csv").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


# --- clipping


def test_clipping_equals_the_values_computed_by_hand() -> None:
    three_classes = clipped(make_predictions(["a"], ["cat", "dog", "emu"], [[1.0, 0.0, 0.0]]), 0.1)
    assert three_classes.loc["a"].tolist() == pytest.approx([0.9 / 1.1, 0.1 / 1.1, 0.1 / 1.1])
    two_classes = clipped(make_predictions(["a"], ["cat", "dog"], [[1.0, 0.0]]), 0.1)
    assert two_classes.loc["a"].tolist() == pytest.approx([0.9, 0.1])
    assert clipped(three(), 0.0) is not None
    assert clipped(three(), 0.0).equals(three())


@settings(max_examples=25, deadline=None)
@given(st.floats(1e-9, 0.49), st.integers(2, 6), st.integers(0, 99))
def test_clipped_predictions_are_predictions(clip: float, classes: int, seed: int) -> None:
    names = [f"c{k}" for k in range(classes)]
    table = make_predictions(["a", "b", "c"], names, np.random.default_rng(seed).dirichlet(np.full(classes, 0.1), 3))
    check_predictions(clipped(table, clip), names, ["a", "b", "c"])


def test_clipping_improves_the_log_loss_of_confident_mistakes() -> None:
    from kagglekit_metrics.single_label import log_loss

    truth = np.array([0, 0, 0, 1])
    sure = make_predictions(list("abcd"), ["cat", "dog"], [[1.0, 0.0]] * 4)
    held = clipped(sure, 0.02)
    assert log_loss(truth, sure.to_numpy()).value == pytest.approx(15 * np.log(10) / 4, rel=1e-3)
    expected = -(3 * np.log(0.98) + np.log(0.02)) / 4
    assert log_loss(truth, held.to_numpy()).value == pytest.approx(expected, rel=1e-5)


# --- the competitions' own files


@pytest.mark.parametrize("slug", ["dog-breed-identification", "dogs-vs-cats-redux-kernels-edition"])
def test_the_real_samples_are_recognised_and_matched(slug: str, tmp_path: Path) -> None:
    if not (DATA / slug / "sample_submission.csv").is_file():
        pytest.skip("the real competitions' files are not beside the repository")
    sample = sample_rows(DATA / slug)
    assert sample is not None
    classes = sorted(sample.columns[1:]) if len(sample.columns) > 2 else ["cat", "dog"]
    ids = sample["id"].sample(frac=1, random_state=0)
    table = make_predictions(ids, classes, np.random.default_rng(0).dirichlet(np.ones(len(classes)), len(ids)))
    text = submitted(DOGS, table, sample, tmp_path)
    lines = text.splitlines()
    assert lines[0] == ",".join(sample.columns)
    assert [line.split(",")[0] for line in lines[1:]] == sample["id"].tolist()


# --- several labels


def of_labels(competition: Competition, task: MultiLabel, sample: str, folder: Path) -> str:
    """The text of the CSV of decided labels: all for image 1, none but the first for image 2."""
    values = np.ones((2, len(task.columns)), np.float32)
    values[1, 1:] = 0
    table = make_predictions(["1", "2"], task.columns, values)
    return written(plugin.submission(competition, table, sample_of(sample), task), folder)


def test_labels_in_a_cell_are_those_of_the_sample(tmp_path: Path) -> None:
    sets, task = Competition(title="Tags", task="multi-label", metric="sets_f1"), MultiLabel(("cat", "dog"))
    assert of_labels(sets, task, "id,tags\n1,cat\n2,", tmp_path) == "id,tags\n1,cat dog\n2,cat\n"
    for sample, strange in (("id,tags\n1,0\n2,1", "0, 1"), ("id,tags\n1,cat|dog\n2,cat", r"cat\|dog")):
        with pytest.raises(UserError, match=rf"values that are not labels: {strange}; .* separated by ' '"):
            of_labels(sets, task, sample, tmp_path)
    bars = sets.model_copy(update={"separator": "|"})
    assert of_labels(bars, task, "id,tags\n1,cat|dog\n2,cat", tmp_path) == "id,tags\n1,cat|dog\n2,cat\n"


def test_a_single_label_is_0_or_1_where_the_sample_has_numbers(tmp_path: Path) -> None:
    one, task = Competition(title="Sick", task="multi-label", metric="macro_f1"), MultiLabel(("sick",))
    values = make_predictions(["1", "2"], task.columns, [[1], [0]])
    rows = plugin.submission(one, values, sample_of("id,target\n1,0\n2,0"), task)
    assert written(rows, tmp_path) == "id,target\n1,1\n2,0\n"


def test_labels_have_the_competitions_separator_without_a_sample_too() -> None:
    bars = Competition(title="Tags", task="multi-label", metric="sets_f1", separator="|")
    task = MultiLabel(("big cat", "dog"))
    rows = plugin.submission(bars, make_predictions(["1"], task.columns, [[1, 1]]), None, task)
    assert rows["label"].tolist() == ["big cat|dog"]


def test_a_file_to_submit_may_have_images_without_labels_if_the_task_does(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("id,tags\n1,\n2,cat\n")
    sample = sample_of("id,tags\n1,cat\n2,cat")
    assert check_file(tmp_path / "own.csv", sample, may_be_blank=True) == 2
    with pytest.raises(UserError, match="no value for ids 1"):
        check_file(tmp_path / "own.csv", sample)
    with pytest.raises(UserError, match="non-finite values for ids 1"):  # blank numbers are never sent
        check_file(tmp_path / "own.csv", sample_of("id,tags\n1,0\n2,0"), may_be_blank=True)
