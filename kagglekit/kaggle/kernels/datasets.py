"""Private datasets on Kaggle: made once, and waited for.

The slug contains a token of the content. So looking for the slug says whether an earlier attempt has reached Kaggle,
even one that was killed: nothing has to be remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kagglekit.kaggle.client import Kaggle
from kagglekit.kaggle.kernels.once import do_once, unless_missing
from kagglekit.kaggle.upload import send_file
from kagglekit.system.display.console import Display, amount, duration
from kagglekit.system.errors import UserError

PAUSE, MAX_PAUSE = 1.0, 30.0  # s between two looks
MAX_PREPARING = 3600.0  # s; Kaggle prepares some GB for minutes before they can be attached


def dataset_state(kaggle: Kaggle, ref: str) -> str | None:
    """Return the state of a dataset, such as ``ready``; None if there is none of that name.

    Raises:
        UserError: The call fails.
    """
    return unless_missing(lambda: str(kaggle.ask("datasets", "get_dataset_status", _named(ref)).status.name).lower())


def make_dataset(kaggle: Kaggle, metadata: Mapping[str, Any], files: Sequence[Path], display: Display) -> None:
    """Upload files as a private dataset, unless it exists, and wait until it can be attached.

    Args:
        kaggle: The login.
        metadata: As in dataset-metadata.json; the id contains a token of the content.
        files: The files.
        display: Shows progress.

    Raises:
        UserError: An upload fails, or Kaggle refuses the dataset.
    """
    ref = str(metadata["id"])
    if dataset_state(kaggle, ref) is None:
        tokens = [{"token": send_file(_announced(kaggle, file), file, kaggle.retry, display)} for file in files]
        body = {"title": metadata["title"], "slug": ref.partition("/")[2], "ownerSlug": ref.partition("/")[0]}
        body |= {"isPrivate": True, "files": tokens, "licenseName": metadata["licenses"][0]["name"]}
        do_once(kaggle, lambda: _made(kaggle, ref, body), lambda: dataset_state(kaggle, ref), f"the dataset {ref}")
        size = amount(sum(file.stat().st_size for file in files))
        display.report(f"dataset {ref}: {size}, private")
    else:
        display.report(f"dataset {ref} is already on Kaggle")
    _wait(kaggle, ref, display)


def delete_dataset(kaggle: Kaggle, ref: str) -> None:
    """Delete a dataset.

    Raises:
        UserError: The call fails.
    """
    kaggle.ask("datasets", "delete_dataset", _named(ref))


def _named(ref: str) -> dict[str, str]:
    owner, _, slug = ref.partition("/")
    return {"ownerSlug": owner, "datasetSlug": slug}


def _announced(kaggle: Kaggle, file: Path) -> Callable[[], tuple[str, str]]:
    """Return what announces the upload of a file."""
    facts = file.stat()
    body = {"type": "DATASET", "name": file.name, "contentLength": facts.st_size}
    body |= {"lastModifiedEpochSeconds": int(facts.st_mtime)}

    def start() -> tuple[str, str]:
        response = kaggle.ask("blobs", "start_blob_upload", body)
        return response.token, response.create_url

    return start


def _made(kaggle: Kaggle, ref: str, body: Mapping[str, Any]) -> str:
    """Create the dataset in one attempt.

    Raises:
        UserError: Kaggle refuses it in words, with status 200.
    """
    response = kaggle.once("datasets", "create_dataset", body)
    if response.error:
        raise UserError(f"Kaggle refused the dataset {ref}: {' '.join(response.error.split())}", "try again later")
    return "made"


def _wait(kaggle: Kaggle, ref: str, display: Display) -> None:
    clock, pause = kaggle.retry.clock, PAUSE
    began = clock.now()
    with display.status(f"waiting until Kaggle has prepared {ref}"):
        while (state := dataset_state(kaggle, ref)) != "ready":
            if state in ("failed", "deleted"):
                hint = f"see https://www.kaggle.com/datasets/{ref}; remove it with: kagglekit kernel clean"
                raise UserError(f"Kaggle could not prepare the dataset {ref} ({state})", hint)
            if clock.now() - began > MAX_PREPARING:
                what = f"Kaggle has not prepared the dataset {ref} in {duration(MAX_PREPARING)}"
                raise UserError(what, "run the same command again later: nothing is uploaded twice")
            clock.sleep(pause)
            pause = min(MAX_PAUSE, pause * 1.5)
