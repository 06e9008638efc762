"""Messages for the command line, as notebooks show them."""

from __future__ import annotations

import pytest

from kagglekit.notebook.wording import in_python


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("pass its data with --data DIR, or leave out --from", "pass its data with data=DIR, or leave out from_run"),
        ("the folder above: --data /work/dogs", 'the folder above: data="/work/dogs"'),
        ("try --set stage.4.grad_checkpointing=true", 'try settings={"stage.4.grad_checkpointing": True}'),
        ("write --set 'stage.*.lr=1e-3'", 'write settings={"stage.*.lr": 1e-3}'),
        ("resume it: kagglekit resume submissions/a/b", 'resume it: kagglekit.resume("submissions/a/b")'),
        ("kagglekit run pets --data data/pets", 'kagglekit.run("pets", data="data/pets")'),
        ("name it: --plugin FILE", "name it: plugins=FILE"),
        ("smaller: --size or --arch", "smaller: size or arch"),
        ("two --- dashes - and a-b", "two --- dashes - and a-b"),
    ],
)
def test_options_become_keywords(text: str, shown: str) -> None:
    assert in_python(text) == shown
