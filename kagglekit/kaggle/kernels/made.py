"""What kagglekit has made on Kaggle for this user: noted before it is made, listed, and removed on request."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from kagglekit.kaggle.client import Kaggle
from kagglekit.kaggle.kernels.calls import delete_kernel, kernel_versions
from kagglekit.kaggle.kernels.datasets import dataset_state, delete_dataset
from kagglekit.kaggle.submit import Ask
from kagglekit.system.display.console import Display
from kagglekit.system.errors import UsageError, UserError
from kagglekit.system.files import write_text
from kagglekit.system.paths import own_place

Kind = Literal["kernel", "dataset"]
OURS = "kagglekit-"  # how the slug of everything begins that kagglekit makes


@dataclass(frozen=True)
class Made:
    """A kernel or a dataset of this user.

    Attributes:
        kind: Which of them.
        ref: Owner and slug.
        run: The run that it was made for.
        when: ISO 8601, UTC.
    """

    kind: Kind
    ref: str
    run: str
    when: str

    @property
    def slug(self) -> str:
        """The second part of `ref`."""
        return self.ref.partition("/")[2]

    @property
    def note(self) -> Path:
        """The file that remembers it."""
        return own_place("made", own_root=True) / f"{self.kind}-{self.ref.replace('/', '_')}.json"


def note_made(kind: Kind, ref: str, run: str) -> None:
    """Remember that something is about to be made."""
    made = Made(kind, ref, run, datetime.now(UTC).isoformat(timespec="seconds"))
    write_text(made.note, json.dumps(asdict(made)) + "\n")


def all_made() -> list[Made]:
    """Return what was made, kernels before the datasets that they use, the oldest first."""
    found = []
    for file in own_place("made", own_root=True).glob("*.json"):
        try:
            made = Made(**json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            continue  # nothing that this module wrote
        if made.kind in ("kernel", "dataset") and made.slug.startswith(OURS) and made.note == file:
            found.append(made)
    return sorted(found, key=lambda made: (made.kind != "kernel", made.when))


def clean(kaggle: Kaggle, ask: Ask | None, display: Display) -> None:
    """Remove what was made from Kaggle, after a question; nothing else is looked at.

    Args:
        kaggle: The login.
        ask: Asks the user; None without a terminal.
        display: Lists what there is.

    Raises:
        UsageError: There is something to remove, and no terminal to ask on.
        UserError: A call fails, or the user says no.
    """
    others = [made for made in all_made() if not made.ref.startswith(f"{kaggle.user}/")]
    if others:
        display.report(f"{len(others)} of other accounts are left alone: {', '.join(made.ref for made in others)}")
    there = [made for made in all_made() if made not in others and _exists(kaggle, made)]
    if not there:
        display.report(f"nothing on Kaggle that kagglekit has made for {kaggle.user}")
        return
    display.table(("", "name on Kaggle", "made", "run"), [(each.kind, each.ref, each.when, each.run) for each in there])
    if ask is None:
        raise UsageError("removing needs confirmation, but there is no terminal to ask on", "add --yes")
    if not ask(f"remove {'these ' if len(there) > 1 else ''}{len(there)} from Kaggle?"):
        raise UserError("nothing was removed", "to remove them, answer y or add --yes")
    for each in there:
        (delete_kernel if each.kind == "kernel" else delete_dataset)(kaggle, each.ref)
        each.note.unlink(missing_ok=True)
        display.report(f"removed {each.kind} {each.ref}")


def _exists(kaggle: Kaggle, made: Made) -> bool:
    """Return whether something is still there; what was removed on the website is forgotten."""
    if made.kind == "kernel":
        exists = kernel_versions(kaggle, made.ref) > 0
    else:
        exists = dataset_state(kaggle, made.ref) not in (None, "deleted")
    if not exists:
        made.note.unlink(missing_ok=True)
    return exists
