"""The archives in a data folder are seen through, and the folder stays as it is."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from archives import tar_file, zip_file
from layouts import write_picture
from rich.console import Console
from seven_zip_files import seven_zip_file
from tiny_competitions import TINY, ask, csv_lines, write_plugin

from kagglekit.data.archive.cached import unpacked
from kagglekit.data.archive.destination import BadArchive, LargeArchive
from kagglekit.data.archive.parts import is_packed
from kagglekit.data.location import MARKER
from kagglekit.data.packed_folder import see_through, source_of
from kagglekit.images.cache import cached_archives, remove
from kagglekit.planning.identity import Identity
from kagglekit.planning.make import make_plan
from kagglekit.planning.request import Request
from kagglekit.system.display.console import Display
from kagglekit.system.in_use import release

IMAGES = {"a.jpg": b"a", "b.jpg": b"b"}


def seen(folder: Path) -> dict[str, bytes]:
    """Return what lies in a folder, links followed, without hidden files and archives."""
    found = {}
    for path in folder.iterdir():
        if path.is_dir():
            found |= {f"{path.name}/{name}": content for name, content in seen(path).items()}
        elif not path.name.startswith(".") and not is_packed(path.name):
            found[path.name] = path.read_bytes()
    return found


def test_archives_appear_unpacked_beside_all_else(tmp_path: Path, cache: Path) -> None:
    data = tmp_path / "data"
    (data / "deep").mkdir(parents=True)
    (data / "labels.csv").write_bytes(b"1")
    (data / "deep" / "notes.txt").write_bytes(b"2")
    zip_file(data / "train.zip", IMAGES)
    tar_file(data / "deep" / "test.tar.gz", IMAGES, "w:gz")
    (data / "more.csv.gz").write_bytes(gzip.compress(b"3"))
    seven_zip_file(data / "sample_submission.csv.7z", {"sample_submission.csv": b"4"})
    before = {path: path.stat().st_mtime_ns for path in [data, *data.rglob("*")]}
    data.chmod(0o555)
    folder = see_through(data)
    data.chmod(0o755)
    assert folder.is_relative_to(cache)
    assert seen(folder) == {
        **{f"train/{name}": content for name, content in IMAGES.items()},
        **{f"deep/test/{name}": content for name, content in IMAGES.items()},
        "labels.csv": b"1",
        "deep/notes.txt": b"2",
        "more.csv": b"3",
        "sample_submission.csv": b"4",
    }
    assert {path: path.stat().st_mtime_ns for path in [data, *data.rglob("*")]} == before
    assert (see_through(data), see_through(folder), source_of(folder), source_of(data)) == (folder, folder, data, data)


def test_a_plugin_that_unpacks_by_itself_finds_the_archive(tmp_path: Path, cache: Path) -> None:
    zip_file(tmp_path / "train.zip", IMAGES)
    (tmp_path / "labels.csv").write_bytes(b"1")
    inside = unpacked(see_through(tmp_path) / "train.zip")
    assert seen(inside) == IMAGES
    assert inside == (see_through(tmp_path) / "train").resolve()


def test_a_new_file_beside_an_archive_appears(tmp_path: Path, cache: Path) -> None:
    zip_file(tmp_path / "train.zip", IMAGES)
    (tmp_path / "labels.csv").write_bytes(b"1")
    first = see_through(tmp_path)
    (tmp_path / "test.csv").write_bytes(b"2")
    second = see_through(tmp_path)
    assert seen(second).keys() - seen(first).keys() == {"test.csv"}
    assert (first / "train").resolve() == (second / "train").resolve()  # unpacked once


def test_a_removed_cache_entry_is_made_again(tmp_path: Path, cache: Path) -> None:
    zip_file(tmp_path / "train.zip", IMAGES)
    (tmp_path / "labels.csv").write_bytes(b"1")
    folder = see_through(tmp_path)
    for entry in cached_archives():
        release(entry.folder.with_name(f"{entry.folder.name}.used"))  # as if another process had unpacked it
        assert remove(entry)
    assert (tmp_path / "labels.csv").exists()  # a link was removed, not what it leads to
    assert see_through(tmp_path) == folder
    assert seen(folder) == {"labels.csv": b"1", "train/a.jpg": b"a", "train/b.jpg": b"b"}


@pytest.mark.parametrize("above", ["", "leaves-main/"])
def test_one_archive_with_a_whole_data_set_stands_for_it(tmp_path: Path, cache: Path, above: str) -> None:
    zip_file(tmp_path / "leaves.zip", {f"{above}train/a.jpg": b"a", f"{above}labels.csv": b"1"})
    assert seen(see_through(tmp_path)) == {"train/a.jpg": b"a", "labels.csv": b"1"}


def test_a_relative_folder_is_seen_through(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    zip_file(tmp_path / "data" / "train.zip", IMAGES)
    (tmp_path / "data" / "labels.csv").write_bytes(b"1")
    monkeypatch.chdir(tmp_path)
    assert see_through(Path("data")) == see_through(tmp_path / "data")
    (tmp_path / "data" / "train.zip").unlink()
    assert see_through(Path("data")) == Path("data")


def test_one_archive_of_images_keeps_its_name(tmp_path: Path, cache: Path) -> None:
    zip_file(tmp_path / "train.zip", IMAGES)
    assert seen(see_through(tmp_path)) == {"train/a.jpg": b"a", "train/b.jpg": b"b"}


@pytest.mark.parametrize("name", [MARKER, "train/a.jpg", "a.jpg"], ids=["downloaded", "beside", "in place"])
def test_an_archive_that_is_unpacked_already_does_not_count(tmp_path: Path, cache: Path, name: str) -> None:
    zip_file(tmp_path / "train.zip", {"a.jpg": b"a"})
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"a")
    before = cached_archives()
    assert see_through(tmp_path) == tmp_path
    assert cached_archives() == before


def test_zipped_csv_files_are_read_as_they_are(tmp_path: Path, cache: Path) -> None:
    for name in ("labels.csv.zip", "sampleSubmission.zip"):
        zip_file(tmp_path / name, {"a.csv": b"id,label\n"})
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(b"a")
    zip_file(tmp_path / "images" / "stray.zip", IMAGES)  # folders of images hold no archives
    assert see_through(tmp_path) == tmp_path


def test_a_hostile_archive_is_refused_and_leaves_nothing(tmp_path: Path, cache: Path) -> None:
    before = cached_archives()
    archive = zip_file(tmp_path / "train.zip", {"fine": b"1", "../outside": b"2"})
    with pytest.raises(BadArchive, match="would write outside"):
        see_through(tmp_path)
    zip_file(archive, {"zeros": bytes(3 * 10**6)})
    with pytest.raises(
        LargeArchive, match=r"more than 1 MB, the limit of --max-unpacked\nif you trust it, unpack it y"
    ):
        see_through(tmp_path, limit=10**6)
    assert cached_archives() == before


def test_two_archives_of_one_name_are_reported(tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    zip_file(tmp_path / "train.zip", IMAGES)
    tar_file(tmp_path / "train.tar", {"c.jpg": b"c"})
    with Console() as console:
        folder = see_through(tmp_path, Display(console))
    assert "train.zip is left out: train exists already" in capsys.readouterr().out
    assert seen(folder) == {"train/c.jpg": b"c"}


@pytest.fixture
def packed(tmp_path: Path, cache: Path) -> Path:
    """Return a folder of train.7z, test.tar.gz, labels and a sample."""
    for part, numbers in (("train", range(16)), ("test", range(20, 24))):
        for number in numbers:
            write_picture(tmp_path / "plain" / part / f"{number}.png", number % 2, f"{part} {number}")
    data = tmp_path / "data"
    data.mkdir()
    content = {
        part: {f.name: f.read_bytes() for f in (tmp_path / "plain" / part).iterdir()} for part in ("train", "test")
    }
    seven_zip_file(data / "train.7z", content["train"])
    tar_file(data / "test.tar.gz", content["test"], "w:gz")
    rows = "".join(f"{number}.png,{('rust', 'scab')[number % 2]}\n" for number in range(16))
    zip_file(data / "train.csv.zip", {"train.csv": f"image,label\n{rows}".encode()})
    (data / "sample_submission.csv").write_text("image,label\n" + "".join(f"{n}.png,rust\n" for n in range(20, 24)))
    return data


SMALL = """
@hookimpl
def kagglekit_recipe(preset):
    from kagglekit import Recipe, Stage
    return Recipe(arch="test_resnet", pretrained=False, tta=0, stages=(Stage(name="all", size=32, snapshots=True),))
"""


def test_new_check_and_run_see_through(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(packed.iterdir())
    assert ask("new", "leaf", "--from-data", packed).exit_code == 0
    (tmp_path / "leaf.py").write_text((tmp_path / "leaf.py").read_text() + SMALL)
    for command in ("check", "run"):
        done = ask(command, "./leaf.py", "--data", packed, *(TINY if command == "run" else ()))
        assert done.exit_code == 0, done.output
    assert ask("run", "./data", *TINY, "--out", "recognised").exit_code == 0
    assert [len(csv_lines(tmp_path / place)) for place in ("submissions", "recognised")] == [5, 5]
    assert sorted(packed.iterdir()) == before


def test_an_interrupted_run_of_packed_data_names_the_users_folder(packed: Path, tmp_path: Path) -> None:
    call = "labels_from_csv(data / 'train.csv', images=data / 'train', id_column='image', test=data / 'test')"
    settings = ("arch=test_resnet", "pretrained=false")
    request = Request(write_plugin(tmp_path, call=call), data=packed, preset="quick", settings=settings, device="cpu")
    with Console(quiet=True) as console:
        plan = make_plan(request, Display(console))
    assert plan.data != packed
    assert Identity.of(plan).request.data == str(packed)
