"""Which Python carries out a command, and whether a copy can be made of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from reloaderd.kernel.spawn import candidates, interpreted_by


def words_of(command: Sequence[str], directory: str, environ: Mapping[str, str]) -> list[str]:
    """What is executed for a command: that of the `#!` line of a script, else the file with its arguments."""
    file = next(iter(candidates(command[0], environ.get("PATH"))), command[0])
    return interpreted_by(os.path.join(directory, file)) or [file, *command[1:]]


def unfit(command: Sequence[str], directory: str, environ: Mapping[str, str]) -> str:
    """Why this command is none whose interpreter can be copied; empty where it may be one."""
    if "RELOADERD_AGENT" not in environ or "PYTHONPATH" not in environ:
        return "what the command imports is not followed"
    words = words_of(command, directory, environ)
    if os.path.basename(words[0]) == "env":
        words = [word for word in words[1:] if "=" not in word and word != "-S"] or [""]
    name = os.path.basename(words[0])
    if not name.startswith("python"):
        return f"{command[0]} is run by {name}, and not by Python itself"
    for word in words[1:]:
        letters = word[1:].partition("c")[0].partition("m")[0]
        if not word.startswith("-") or set("EIS") & set(letters):
            return f"python {word} leaves out what would pause it" if word.startswith("-") else ""
        if letters != word[1:]:
            break
    return ""
