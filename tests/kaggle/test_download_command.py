"""`kagglekit download` by the real client from the server that plays Kaggle."""

from __future__ import annotations

import io
import json
import re
import tarfile
import zipfile
from hashlib import md5
from pathlib import Path

import pytest
from downloading import SLUG, dog_breed, is_complete, left
from kaggle_session import QUICK, fail, succeed
from layouts import write_dogs_vs_cats, write_pets

from kagglekit.data.location import MARKER, workshop
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load

pytestmark = pytest.mark.usefixtures("download_server")


def test_from_nothing_to_labelled_images_and_never_asked_again(server, tmp_path):
    done = succeed(server, tmp_path, "download", "dog-breed")
    assert "32 labelled images of 4 classes, 10 test images" in done.stdout
    assert is_complete(tmp_path)
    asked = len(server.requests)
    again = succeed(server, tmp_path, "download", "dog-breed", "--data", tmp_path / "data" / "dog-breed")
    assert "complete" in again.stdout
    assert len(server.requests) == asked


@pytest.mark.parametrize("credentials", ["token", "oauth", "key variables"])
def test_every_way_to_log_in_works(server, tmp_path, credentials):
    succeed(server, tmp_path, "download", "dog-breed", credentials=credentials)
    assert is_complete(tmp_path)


def refuse_rules(server):
    server.play.contests[SLUG].entered = False


def refuse_phone(server):
    server.play.contests[SLUG].verified = False


def forget_it(server):
    server.play.contests.clear()


def forget_it_with_404(server):
    server.play.contests.clear()
    server.play.unknown_status = 404


def bare_403(server):
    server.play.contests[SLUG].entered = False
    server.fault("DownloadDataFiles", 403, None, message="Forbidden")


@pytest.mark.parametrize("form", ["message", "error"])
@pytest.mark.parametrize(
    ("happens", "says"),
    [
        (refuse_rules, f"the rules of {SLUG} are not accepted yet .*https://www.kaggle.com/c/{SLUG}/rules"),
        (refuse_phone, "Kaggle requires phone verification of the account .*https://www.kaggle.com/settings"),
        (forget_it, f"there is no competition '{SLUG}' on Kaggle"),
        (forget_it_with_404, f"there is no competition '{SLUG}' on Kaggle"),
        (bare_403, f"the rules of {SLUG} are not accepted yet"),
    ],
)
def test_a_refusal_says_what_to_do(server, tmp_path, form, happens, says):
    server.play.form = form
    happens(server)
    fail(server, tmp_path, "download", "dog-breed", *QUICK, says=says)
    assert not (tmp_path / "data" / "dog-breed").exists()


@pytest.mark.parametrize(
    ("credentials", "says"),
    [
        ("none", "no Kaggle credentials found.*kaggle auth login.*--data DIR"),
        ("stale key", "does not accept the credentials .401.*user name and key from ~/.kaggle/kaggle.json"),
        ("stale token over key", r"access token from \$KAGGLE_API_TOKEN.*~/.kaggle/kaggle.json would then take effect"),
        ("stale token", "access token from ~/.kaggle/access_token|none of the credentials"),
        ("stale oauth", "credentials"),
    ],
)
def test_credentials_that_do_not_work_are_named(server, tmp_path, credentials, says):
    fail(server, tmp_path, "download", "dog-breed", *QUICK, credentials=credentials, says=says)
    assert not (tmp_path / "data" / "dog-breed").exists()


def hostile(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("labels.csv", "id,breed\n")
        archive.writestr(name, "evil")
    return buffer.getvalue()


def bad_member(archive: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(archive)) as content:
        info = content.getinfo("labels.csv")
    start = info.header_offset + 30 + len("labels.csv")
    return archive[:start] + bytes([archive[start] ^ 255]) + archive[start + 1 :]


@pytest.mark.parametrize("name", ["../evil.txt", "/tmp/kagglekit-evil.txt", "..\\evil.txt", "C:/evil.txt"])
def test_a_hostile_archive_writes_nothing(server, tmp_path, name):
    server.add_competition(SLUG, hostile(name))
    error = fail(server, tmp_path, "download", "dog-breed")
    assert name.replace("\\", "\\\\") in error or name in error
    assert not [path for path in [*tmp_path.rglob("*evil*"), Path("/tmp/kagglekit-evil.txt")] if path.exists()]
    assert not (tmp_path / "data" / "dog-breed").exists()


def test_a_bad_member_is_named_and_the_archive_fetched_again_the_next_time(server, tmp_path):
    server.add_competition(SLUG, bad_member(dog_breed()))
    error = fail(server, tmp_path, "download", "dog-breed")
    assert re.search(r"cannot unpack .*labels\.csv", error)
    assert not (tmp_path / "data" / "dog-breed").exists()
    server.add_competition(SLUG, dog_breed())
    succeed(server, tmp_path, "download", "dog-breed")
    assert is_complete(tmp_path)


def test_archives_in_the_archive_are_unpacked_and_the_outer_one_is_kept_on_request(server, tmp_path):
    source = tmp_path / "source"
    write_dogs_vs_cats(source, zipped=True)
    server.add_competition("dogs-vs-cats-redux-kernels-edition", source)
    home = tmp_path / "home"
    home.mkdir()
    done = succeed(server, home, "download", "dogs-vs-cats", "--keep-archives")
    assert "24 labelled images of 2 classes, 12 test images" in done.stdout
    names = {path.name for path in (home / "data" / "dogs-vs-cats").iterdir()}
    kept = "dogs-vs-cats-redux-kernels-edition.zip"
    assert names == {"train", "test", "sample_submission.csv", kept, ".kagglekit-download.json"}


def test_files_that_are_there_already_are_left_alone(server, tmp_path):
    own = tmp_path / "elsewhere" / "notes.txt"
    own.parent.mkdir()
    own.write_text("mine")
    error = fail(server, tmp_path, "download", "dog-breed", "--data", own.parent)
    assert "contains files that kagglekit did not download: notes.txt" in error
    assert own.read_text() == "mine"
    assert not server.requests


def test_a_folder_that_cannot_be_written_is_reported_before_any_request(server, tmp_path):
    (tmp_path / "file").write_text("")
    error = fail(server, tmp_path, "download", "dog-breed", KAGGLEKIT_DATA=str(tmp_path / "file"))
    assert "is a file" in error
    assert not server.requests


FISH = """
from kagglekit import Competition, RemoteFile, hookimpl, labels_from_folders

@hookimpl
def kagglekit_competition():
    return Competition(title="Fish", metric="accuracy", files=[
        RemoteFile(url="https://www.robots.ox.ac.uk/fish/images.tar.gz", md5="{md5}"),
        RemoteFile(url="https://www.robots.ox.ac.uk/fish/notes.txt"),
    ])

@hookimpl
def kagglekit_labels(data):
    assert (data / "notes.txt").read_text() == "fish"
    return labels_from_folders(data / "images")
"""


def test_open_files_need_no_account(server, tmp_path):
    write_pets(tmp_path / "source")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for file in sorted((tmp_path / "source" / "images").glob("*.jpg")):
            archive.add(file, f"images/{file.stem.rpartition('_')[0]}/{file.name}")
    server.add_file("https://www.robots.ox.ac.uk/fish/images.tar.gz", buffer.getvalue())
    server.add_file("https://www.robots.ox.ac.uk/fish/notes.txt", b"fish")
    (tmp_path / "fish.py").write_text(FISH.format(md5=md5(buffer.getvalue()).hexdigest()))
    server.fault("images.tar.gz", "cut", after=10_000)
    done = succeed(server, tmp_path, "download", "./fish.py", credentials="none")
    assert "48 labelled images of 4 classes" in done.stdout
    assert "recovered from an error: transfer cut off" in done.stdout
    marker = json.loads((tmp_path / "data" / "fish" / ".kagglekit-download.json").read_text())
    assert [file["name"] for file in marker["files"]] == ["images.tar.gz", "notes.txt"]


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("pets", "https://www.robots.ox.ac.uk/~vgg/data/pets/data/images.tar.gz"),
        ("flowers-102", "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/102flowers.tgz"),
    ],
)
def test_oxfords_files_are_asked_for_at_their_addresses_and_their_checksums_count(server, tmp_path, name, address):
    server.add_file(address, b"not these")
    error = fail(server, tmp_path, "download", name, credentials="none")
    assert "was corrupted twice: md5" in error
    assert left(tmp_path) == [f".{name}.download"]
    assert not list((tmp_path / "data" / f".{name}.download").iterdir())
    official = {
        "pets": {"images.tar.gz", "annotations.tar.gz"},
        "flowers-102": {"102flowers.tgz", "imagelabels.mat", "setid.mat"},
    }
    files = Hooks(load(name)).competition().files
    assert {file.name for file in files} == official[name]
    assert all(re.fullmatch("[0-9a-f]{32}", file.md5) for file in files)


def test_a_dry_run_downloads_nothing(server, tmp_path):
    error = fail(server, tmp_path, "run", "dog-breed", "--dry-run")
    assert "kagglekit download dog-breed" in error
    assert not server.requests
    assert not (tmp_path / "data").exists()


def test_the_command_line_tidies_too(server, tmp_path):
    folder = tmp_path / "data" / "dog-breed"
    with zipfile.ZipFile(io.BytesIO(dog_breed())) as content:
        content.extractall(folder)
    (folder / MARKER).write_text("{}")
    workshop(folder).mkdir(parents=True)
    (workshop(folder) / f"{SLUG}.zip").write_bytes(dog_breed())
    succeed(server, tmp_path, "download", "dog-breed", "--keep-archives", credentials="none")
    assert is_complete(tmp_path)
    assert (folder / f"{SLUG}.zip").read_bytes() == dog_breed()
    assert not server.requests
