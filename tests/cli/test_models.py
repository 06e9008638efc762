from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from kagglekit.cli import cli


def ask(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["models", *arguments])


def test_a_part_of_a_name_lists_size_licence_and_exposure_in_plain_lines():
    result = ask("MobileNetV2")
    assert result.exit_code == 0
    head, *lines = result.stdout.splitlines()
    assert head.split() == ["model", "parameters", "px", "licence", "ImageNet", "labels", "trained", "on"]
    [line] = [line for line in lines if line.startswith("mobilenetv2_100.ra_in1k ")]
    assert line.split()[1:] == ["3.5", "M", "224", "apache-2.0", "yes", "ImageNet-1k", "(labels)"]
    assert all(line.startswith("mobilenetv2_") for line in lines)
    assert len(lines) >= 5
    assert "\x1b" not in result.stdout


def test_wildcards_match_whole_names():
    result = ask("resnet34.*")
    assert {line.split(".")[0] for line in result.stdout.splitlines()[1:]} == {"resnet34"}


def test_json_has_everything_and_licences_that_forbid_commerce_are_shown():
    found = {model["model"]: model for model in json.loads(ask("vit_small_patch1?_224.*", "--json").stdout)}
    assert found["vit_small_patch16_224.dino"]["imagenet_labels"] == "none named"
    assert found["vit_small_patch16_224.dino"]["size"] == 224
    assert 21e6 < found["vit_small_patch16_224.dino"]["parameters"] < 23e6
    licences = {model["licence"] for model in json.loads(ask("convnextv2_atto", "--json").stdout)}
    assert licences == {"cc-by-nc-4.0"}


def test_many_matches_are_listed_without_building_them():
    result = ask("resnet")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) > 100
    assert " M " not in result.stdout
    assert "parameters are counted only if at most" in result.stderr


@pytest.mark.parametrize(("pattern", "near"), [("resnet43", "resnet34"), ("convnxt_tiny", "convnext_tiny")])
def test_no_match_names_the_nearest_and_exits_with_1(pattern: str, near: str):
    result = ask(pattern)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert near in result.stderr


def test_a_pattern_like_nothing_points_to_the_whole_list():
    result = ask("§§§")
    assert result.exit_code == 1
    assert "list all: kagglekit models" in result.stderr
