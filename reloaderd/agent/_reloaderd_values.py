"""What a module keeps that may be of one process or of one moment: numbers and text, by their names.

Facts
- An object may say that it is of another type than it is (`__class__`), and load what it stands for when it
  is asked for an attribute: only its type is looked at, and what that has in its own __dict__.
"""

import sys
from time import monotonic, time

from _reloaderd_order import names_of  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PLAIN = (int, float, str)


def values(name: str) -> "list[tuple[str, Any]]":
    """What a module keeps by name, and with a dot what its classes, their instances and tables in it do.

    A date is the seconds that it stands for, by the zone here and, where it names none, by UTC, too.
    """
    found = []
    for key, value in list(names_of(sys.modules.get(name)).items()):
        if type(key) is str:
            found += [(key, value), *[(f"{key}.{one}", held) for one, held in _inside(name, value)]]
    plain = [(key, value) for key, value in found if type(value) in _PLAIN]
    return plain + [date for key, value in found for date in dates(key, value)]


def _inside(name: str, value: "Any") -> "list[tuple[str, Any]]":
    """What is in a table, a class of the module of that name, or an instance of one."""
    kind = value if issubclass(type(value), type) else type(value)
    if type(value) is dict:
        inside: Any = value
    elif type.__getattribute__(kind, "__dict__").get("__module__") != name:
        return []
    elif kind is value:
        inside = type.__getattribute__(kind, "__dict__")
    else:
        try:
            inside = object.__getattribute__(value, "__dict__")
        except AttributeError:  # it has slots
            return []
    return [(one, held) for one, held in list(dict(inside).items()) if type(one) is str]


def dates(key: str, value: "Any") -> "list[tuple[str, float]]":
    """The seconds that a date stands for, if it is one: see `values`."""
    module = sys.modules.get("datetime")
    if module is None or type(value) is not module.datetime:
        return []
    try:
        seconds = [(key, value.timestamp())]
        if value.tzinfo is None:
            seconds.append((key + " (UTC)", value.replace(tzinfo=module.timezone.utc).timestamp()))
    except (ValueError, OverflowError):  # datetime.min
        return []
    return seconds


def is_now(value: "Any", began: "tuple[float, float]") -> bool:
    """Whether it is a time since `began`, which is by time() and by monotonic(), in seconds or nanoseconds.

    One in whole seconds is that of the second in which it was taken.
    """
    if type(value) not in (int, float):
        return False
    for since, now in ((began[0], time()), (began[1], monotonic())):
        first = int(since) if type(value) is int else since
        if first <= value <= now or since * 1e9 <= value <= now * 1e9:
            return True
    return False
