"""run.json as a typed model: what is written is read back; what is damaged is one message."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kagglekit import UserError
from kagglekit.runs.info import MemberInfo, Record, RecordedRequest, RunInfo, read_info
from kagglekit.types.decoded import Decoded
from kagglekit.types.metric import Score

ASKED = RecordedRequest(competition="pets", data="data", device="cpu", disable=("tensorboard",))


def test_facts_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    record = Record(tmp_path / "run.json")
    decoded = Decoded("test", "", 96, "files", 5, 0.25)
    record.update(status="running", request=ASKED, decoded=[decoded], members=[MemberInfo("a", "head", 1)])
    record.update(scores=[{"member": "ensemble", "views": "mean", "valid_log_loss": [0.5, 0.1]}])
    info = read_info(tmp_path / "run.json")
    assert info == record.info
    assert (info.request, info.decoded, info.members) == (ASKED, (decoded,), (MemberInfo("a", "head", 1),))
    assert info.ensemble_scores == {"valid_log_loss": Score(0.5, 0.1)}
    assert info.disabled == ("tensorboard",)


def test_only_what_is_known_is_written_with_the_number_of_its_form(tmp_path: Path) -> None:
    Record(tmp_path / "run.json").update(fold=2)
    assert json.loads((tmp_path / "run.json").read_text()) == {"fold": 2, "schema": 1}


def test_a_file_from_before_there_were_numbers_is_read_and_what_others_added_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    file.write_text('{"status": "finished", "stages": [1, 2], "tracker": "run 7"}')
    record = Record.of(file)
    assert (record.info.status, record.info.stages) == ("finished", (1, 2))
    record.update(seconds=1.5)
    assert json.loads(file.read_text())["tracker"] == "run 7"


def test_a_fact_of_an_unknown_name_is_refused(tmp_path: Path) -> None:
    record = Record(tmp_path / "run.json")
    with pytest.raises(TypeError, match=r"run\.json has no staus"):
        record.update(staus="finished", seconds=1.5)
    assert not record.file.exists()


def test_without_a_file_nothing_is_known(tmp_path: Path) -> None:
    assert read_info(tmp_path / "run.json") == RunInfo()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{", "it is not valid JSON (line 1, column 2)"),
        ("", "it is empty"),
        ("[1]", "it is not a JSON object"),
        ('{"stages": "all"}', "stages: should be a list"),
        ('{"stages": [1, "x"]}', "stages.1: should be an integer"),
        ('{"status": "done"}', "status: should be 'running', 'finished'"),
        ('{"schema": 0}', "schema: should be greater than or equal to 1"),
        ('{"schema": null}', "schema: should be an integer"),
        ('{"schema": true}', "schema: should be an integer"),
        ('{"scores": [{"member": "a", "valid_log_loss": [1]}]}', "scores.0.valid_log_loss"),
        ('{"schema": 2}', "a newer version of kagglekit wrote it"),
        ("\xff", "it is not text in UTF-8"),
        ("[" * 100_000, "it is nested too deeply"),
        ('{"seed": ' + "9" * 5000 + "}", "a number in it has too many digits"),
    ],
)
def test_what_is_damaged_or_edited_is_one_message(tmp_path: Path, content: str, why: str) -> None:
    file = tmp_path / "run.json"
    file.write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError) as caught:
        read_info(file)
    assert str(file) in caught.value.what
    assert why in caught.value.what
    assert "\n" not in caught.value.what
    assert caught.value.hint


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(field=st.sampled_from(sorted(RunInfo.model_fields)), value=JSON)
def test_any_value_of_a_field_is_read_or_refused(tmp_path: Path, field: str, value: object) -> None:
    (tmp_path / "run.json").write_text(json.dumps({field.removesuffix("_"): value}))
    with suppress(UserError):  # anything else is a fault
        read_info(tmp_path / "run.json").to_dict()
