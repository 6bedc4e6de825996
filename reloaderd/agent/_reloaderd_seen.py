"""Sees whether all is as it was when it was read by a run that has left a copy of itself."""

import sys

from _reloaderd_order import names_of  # type: ignore[import-not-found]
from _reloaderd_paths import is_absent  # type: ignore[import-not-found]
from _reloaderd_plan import first_changed, stamp  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Seen:
    """How all looked that was read before the copy was made."""

    def __init__(self, agent: "Any", ahead: "Any", began: int) -> None:
        """`began`: what was changed from then on (ns) may have been read before that."""
        self.ahead = ahead.stamps
        self.trouble = self.ahead.changed()
        known = set(ahead.files.values())
        paths = {*agent.modules, *agent.data}
        for module in list(sys.modules.values()):
            file = names_of(module).get("__file__")
            if type(file) is str and file[:1] == "/" and file not in known:
                paths.add(file)
        self.stamps = [(path, *stamp(path)) for path in paths]
        self.absent = [
            *agent.absent,
            *[path + end for path in agent.missing for end in (".py", "/__init__.py")],
        ]
        self.absent = [path for path in self.absent if is_absent(path)]
        for path, _, _, changed in self.stamps:
            if changed >= began and path not in agent.own:
                self.trouble = self.trouble or f"{path} was changed meanwhile"

    def changed(self) -> str:
        """The first that is not as it was; empty where all is."""
        if why := first_changed(self.stamps):
            return str(why)
        for path in self.absent:
            if not is_absent(path):
                return f"{path} was not there"
        return str(self.ahead.changed())
