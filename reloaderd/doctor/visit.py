"""What `reloaderd doctor` does: look, judge, tell."""

from __future__ import annotations

from reloaderd.core.diagnosis import problems
from reloaderd.doctor.checkup import check
from reloaderd.settings import DoctorSettings

MEND = 1
"""Exit status when something needs a mend."""


def visit(settings: DoctorSettings) -> tuple[str, int]:
    """The text to print and the exit status.  Raises ReloaderdError."""
    checkup = check(settings)
    found = problems(checkup)
    if settings.json:
        from reloaderd.doctor import record as form
    else:
        from reloaderd.doctor import table as form  # type: ignore[no-redef]
    return form.text(checkup, found), MEND if found else 0
