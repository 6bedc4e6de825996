"""What a running reloaderd has loaded: an import stays in memory for as long as it watches."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.support.daemon import Daemon
from tests.support.places import Place, build
from tests.unit.test_layers import NOT_WHEN_IDLE

IMPORT = re.compile(r"import time: +[0-9]+ \| +[0-9]+ \| +([\w.]+)")
"""A line of `python -X importtime`; the child is given -I, so these are the daemon's and its keeper's."""


@pytest.mark.smoke
def test_an_idle_daemon_has_loaded_nothing_heavy(watch: Callable[..., Daemon], place: Place) -> None:
    build(place.tree, {"a.py": "1\n", "pkg/b.py": "2\n"})
    daemon = watch(environ={"PYTHONPROFILEIMPORTTIME": "1"}, log_format="text")
    daemon.change_marker()
    imports = [match[1] for line in daemon.noise if (match := IMPORT.match(line))]
    # what site loads (the .pth files of an installation) comes first and is not this project's doing
    loaded = set(imports[imports.index("site") + 1 :])
    assert "reloaderd.loop" in loaded  # else nothing was read
    assert not loaded & NOT_WHEN_IDLE
