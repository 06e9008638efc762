"""For tests of plugins: the conformance check as an assertion.

from kagglekit.testing import check_competition

def test_my_competition(tmp_path):
    write_tiny_data(tmp_path)
    check_competition("kagglekit_leaves.py", data=tmp_path)
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kagglekit.authoring.findings import Finding


def check_competition(competition: str | Path, data: str | Path | None = None) -> list[Finding]:
    """Check a competition's plugin as `kagglekit check` does, and fail if there is a problem.

    Args:
        competition: An installed competition's name, or the path of a plugin file.
        data: A data folder in the competition's layout, real or tiny; None for the usual places. Without one,
            labels and submission are not checked.

    Returns:
        Every finding, notes included.

    Raises:
        AssertionError: There is a problem; the message says what, where and how to mend it.
    """
    from kagglekit.authoring.check import examine
    from kagglekit.authoring.findings import worded

    findings = examine(str(competition), Path(data) if data is not None else None)
    problems = [worded(finding) for finding in findings if finding.status == "problem"]
    if problems:
        raise AssertionError("\n".join(problems))
    return findings
