"""The benchmark of feedback runs as it is shown, on one file."""

from __future__ import annotations

import pytest

from benchmarks import feedback


@pytest.mark.slow
def test_feedback_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    feedback.main(["--session", "s1", "--sample", "1000", "--jobs", "1"])
    head, first, total, _, _, sizes = capsys.readouterr().out.splitlines()
    assert head.split() == ["named", "of", "the", "listed", "untrue", "beyond"]
    assert (
        first.split()[1:]
        == total.split()[1:]
        == ["1/1", "(100", "%)", "1/1", "(100", "%)", "0", "0"]
    )
    assert sizes.split()[0] == "s1"
