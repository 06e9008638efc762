"""The conformance check as an assertion, for tests of plugins.

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
    """Check a competition's plugin like `kagglekit check`, and fail if there is a problem.

    Args:
        competition: An installed competition's name, or the path of a plugin file.
        data: A data folder in the competition's layout, real or tiny; None for the default places. Without data,
            labels and submission are not checked.

    Returns:
        All findings, including notes.

    Raises:
        AssertionError: There is a problem; the message has its place and its fix.
    """
    from kagglekit.authoring.check import examine
    from kagglekit.authoring.findings import describe_finding

    findings = examine(str(competition), Path(data) if data is not None else None)
    problems = [describe_finding(finding) for finding in findings if finding.status == "problem"]
    if problems:
        raise AssertionError("\n".join(problems))
    return findings
