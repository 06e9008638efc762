"""`kagglekit submit` where there is nothing to send, or Kaggle takes nothing."""

from __future__ import annotations

import io
import shutil
import zipfile

import pytest
from kaggle_session import QUICK, ask, entries, fail, succeed
from submitting import SLUG, SOLUTION, sent

from kagglekit.runs.folder import Run


def change(run: Run, old: str, new: str) -> None:
    text = run.submission.read_text()
    assert old in text
    run.submission.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("id,beagle,pug", "id,beagle,corgi", "differs in its columns from sample_submission.csv.*pug"),
        ("id,beagle,pug", "id,pug,beagle", "the right order is id, beagle, pug"),
        ("003,", "999,", "differs in its ids from sample_submission.csv.*"),
        ("003,", "004,", "duplicate ids: 004"),
        ("003,0.25,0.75\n", "", "differs in its ids.*003"),
        ("003,0.25", "003,", "no value for ids 003"),
        ("003,0.25", "003,nan", "non-finite values for ids 003"),
        ("003,0.25", "003,much", "non-finite values for ids 003"),
    ],
)
def test_a_wrong_file_is_found_before_kaggle_is_asked(server, run, tmp_path, old, new, says):
    change(run, old, new)
    fail(server, tmp_path, "submit", says=says)
    assert not server.requests


def test_without_a_sample_there_is_nothing_to_check_against(server, run, tmp_path):
    (tmp_path / "data" / "dog-breed" / "sample_submission.csv").unlink()
    error = fail(server, tmp_path, "submit")
    assert "kagglekit download dog-breed" in error
    assert not server.requests


def test_of_several_samples_the_user_names_one(server, run, tmp_path):
    data = tmp_path / "samples"
    data.mkdir()
    for letter in "ab":
        shutil.copy(tmp_path / "data/dog-breed/sample_submission.csv", data / f"sample_submission_{letter}.csv")
    says = "could be the sample submission: sample_submission_a.csv, sample_submission_b.csv.*--sample FILE"
    fail(server, tmp_path, "submit", "--data", data, says=says)
    assert not server.requests
    named = ("--data", data, "--sample", "sample_submission_b.csv")
    assert "checked against sample_submission_b.csv" in succeed(server, tmp_path, "submit", *named, "--no-wait").stdout


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["dogbreed"], 1, "unknown run 'dogbreed'"),
        (["dogbreed", "latest"], 2, "unknown competition 'dogbreed'"),
        (["dogs-vs-cats"], 1, "no finished run of dogs-vs-cats"),
        (["dogs-vs-cats", "20260101-000000-net"], 1, "unknown run|no runs in"),
        (["dog-breed", "nothing.csv"], 1, "there is no file nothing.csv"),
        (["dog-breed", "nothing.csv.zip"], 1, "there is no file nothing.csv.zip"),
        (["nothing.CSV"], 2, "no competition given for nothing.CSV.*kagglekit submit COMPETITION nothing.CSV"),
        (["dog-breed", "a", "b"], 2, "too many arguments"),
    ],
)
def test_a_wrong_target_is_an_error(server, run, tmp_path, words, code, says):
    fail(server, tmp_path, "submit", *words, says=says, code=code)
    assert not server.requests


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"entered": False}, f"the rules of {SLUG} are not accepted yet"),
        ({"verified": False}, "requires phone verification"),
        ({"disabled": True}, "submissions to .* are disabled"),
        ({"code_only": True}, "code competition: it accepts notebooks"),
        (
            {"used_today": 5},
            "no submissions to .* are left today.*try again after the day ends at midnight UTC, in .* h",
        ),
        ({"late": False}, "the deadline of .* has passed, and late submissions are disabled"),
    ],
)
def test_a_competition_that_accepts_nothing_says_why(server, run, tmp_path, facts, says):
    vars(server.play.contests[SLUG]).update(facts)
    fail(server, tmp_path, "submit", *QUICK, says=says)
    assert sent(server) == 0


@pytest.mark.parametrize(
    ("credentials", "says"),
    [("none", "no Kaggle credentials"), ("stale key", "does not accept the credentials .401.*kaggle.json")],
)
def test_nothing_is_sent_without_a_login(server, run, tmp_path, credentials, says):
    fail(server, tmp_path, "submit", *QUICK, credentials=credentials, says=says)
    assert (sent(server), run.submissions()) == (0, [])


def test_an_unknown_slug_is_an_error(server, run, tmp_path):
    server.play.contests.clear()
    error = fail(server, tmp_path, "submit", *QUICK)
    assert f"there is no competition '{SLUG}' on Kaggle" in error


@pytest.mark.parametrize("name", ["blend.csv", "log.csv"])
def test_another_file_in_a_runs_folder_is_not_the_runs_submission(server, run, tmp_path, name):
    file = run.folder / name
    file.write_text("id,beagle,pug\n")
    error = fail(server, tmp_path, "submit", "dog-breed", file)
    assert "differs in its ids from sample_submission.csv" in error
    assert not server.requests


def test_a_runs_submission_goes_to_its_own_competition(server, run, tmp_path):
    error = fail(server, tmp_path, "submit", "dogs-vs-cats", run.submission)
    assert "is a run of dog-breed, not dogs-vs-cats" in error
    assert not server.requests


def test_a_token_with_a_line_end_is_refused_before_a_library_shows_it(server, run, tmp_path):
    token = "KGAT_end-of-line-abcd"
    done = ask(server, tmp_path, "submit", *QUICK, credentials="none", KAGGLE_API_TOKEN=f"{token}\n")
    assert done.returncode == 1
    assert "$KAGGLE_API_TOKEN contains whitespace or line breaks" in done.stderr
    assert token not in done.stdout + done.stderr
    doctor = ask(server, tmp_path, "doctor", credentials="none", KAGGLE_API_TOKEN=f"{token}\n")
    assert token not in doctor.stdout + doctor.stderr


def test_kaggles_reason_is_shown_when_it_cannot_score(server, run, tmp_path):
    server.play.contests[SLUG].solution = {**SOLUTION, "new": "pug"}
    error = fail(server, tmp_path, "submit")
    (made,) = server.submissions[SLUG]
    assert made.error
    assert made.error in error
    assert entries(run)[0] | {"status": "error", "error": made.error} == entries(run)[0]


def test_a_number_that_kaggle_does_not_know(server, tmp_path):
    error = fail(server, tmp_path, "submit", "--status", "7")
    assert "Kaggle has no submission 7" in error


def zip_of(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, "id,beagle,pug\n000,0.5,0.5\n")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("mine.csv.zip", b"not a zip", "cannot read mine.csv.zip"),
        ("mine.csv.zip", zip_of("a.csv", "b.csv"), "holds 2 files, not one CSV: a.csv, b.csv"),
        (
            "mine.csv.zip",
            zip_of("mine.csv", "__MACOSX/._mine.csv"),
            "mine.csv.zip differs in its ids from sample_submission",
        ),
        ("mine.csv.gz", b"not gzip", "cannot read mine.csv.gz"),
        ("mine.CSV", b"id,beagle\n", "mine.CSV differs in its columns from sample_submission"),
        ("mine.xlsx", b"PK", "cannot submit mine.xlsx: Kaggle accepts .csv, .zip, .gz"),
        ("mine", b"id,beagle,pug\n", "cannot submit mine: Kaggle accepts"),
    ],
)
def test_a_file_of_any_name_is_checked_or_refused_as_a_file(server, run, tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    fail(server, tmp_path, "submit", "dog-breed", name, says=says)
    alone = fail(server, tmp_path, "submit", name, code=2)
    assert f"kagglekit submit COMPETITION {name}" in alone
    assert not server.requests
