"""What `reloaderd doctor` does: look, judge, tell."""

from __future__ import annotations

from reloaderd.core.diagnosis import problems
from reloaderd.core.reasons import SHORT_OF, start_failure
from reloaderd.doctor import table
from reloaderd.doctor.checkup import check
from reloaderd.errors import ReloaderdError
from reloaderd.settings import DoctorSettings

MEND = 1
"""Exit status when something needs a mend."""


def visit(settings: DoctorSettings) -> tuple[str, int]:
    """The text to print and the exit status.  Raises ReloaderdError where there is no way to look."""
    try:
        checkup = check(settings)
    except OSError as error:
        if error.errno not in SHORT_OF:
            raise
        message = f"cannot look: {start_failure(error.errno)}"
        raise ReloaderdError(message, SHORT_OF[error.errno], exit_code=1) from None
    found = problems(checkup)
    status = MEND if found else 0
    if settings.json:
        from reloaderd.doctor import record

        return record.text(checkup, found), status
    return table.text(checkup, found), status
