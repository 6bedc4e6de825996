"""Finds the repository that a directory is in: its lock, and the ignore files outside the directory.

Facts:
- git holds `index.lock` in its directory while it changes the work tree (gitrepository-layout(5)); Mercurial
  holds `wlock`, a symlink.  A crashed one leaves it behind.
- `.git` is a file `gitdir: PATH` in a linked work tree and in a submodule; `commondir` in that
  directory then leads to the one with `info/exclude`.
- core.excludesFile defaults to $XDG_CONFIG_HOME/git/ignore (gitignore(5)).  Only git knows how its
  configuration files include each other, but starting it takes 3 ms and subprocess 1 MB: it is asked
  only when one of the files speaks of excludesFile or includes others.
"""

from __future__ import annotations

import os

from reloaderd.commands import FindRepository
from reloaderd.events import IgnoreFile, RepositoryFound
from reloaderd.kernel.files import read_text
from reloaderd.kernel.source import COMING, Source


def find_repository(source: Source, command: FindRepository) -> RepositoryFound:
    """Answer `command`; the lock's directory is watched before the lock is looked for."""
    top, directory, lock = _locate(command.path)
    watch = -1
    locked = False
    if directory:
        try:
            watch = source.hold(directory, lock, COMING)
        except OSError:
            pass  # not ours to watch: then git is not ours to wait for either
        else:
            locked = os.path.lexists(os.path.join(directory, lock))
    files: list[IgnoreFile] = []
    if command.ignore_files and directory and lock == "index.lock":
        files += _git_files(top, directory)
    files += _above(top or _start_directory(command.path), command.path, command.ignore_files)
    return RepositoryFound(command.service, command.path, watch, lock, locked, files)


def _locate(path: str) -> tuple[str, str, str]:
    """The work tree, the directory of the lock and its name; empty where there is no repository."""
    at = path
    while True:
        git = os.path.join(at, ".git")
        if os.path.isdir(git):
            return at, git, "index.lock"
        if os.path.isfile(git):
            text = read_text(git) or ""
            if text.startswith("gitdir: "):
                return at, os.path.normpath(os.path.join(at, text[len("gitdir: ") :].strip())), "index.lock"
        mercurial = os.path.join(at, ".hg")
        if os.path.isdir(mercurial):
            return at, mercurial, "wlock"
        if at == "/":
            return "", "", ""
        at = os.path.dirname(at)


def _start_directory(path: str) -> str:
    """Without a repository, the directory that reloaderd was started in, if `path` is below it."""
    try:
        here = os.getcwd()
    except OSError:
        return path
    return here if path.startswith(here.rstrip("/") + "/") else path


def _above(top: str, path: str, gitignore: bool) -> list[IgnoreFile]:
    """The ignore files from `top` down to the directory above `path`."""
    kinds = ("gitignore", "reloaderdignore") if gitignore else ("reloaderdignore",)
    files = []
    at = path
    while at != top and at != "/":
        at = os.path.dirname(at)
        for kind in kinds:
            name = os.path.join(at, "." + kind)
            files.append(IgnoreFile(name, at, kind, read_text(name)))
    return files


def _git_files(top: str, directory: str) -> list[IgnoreFile]:
    common = directory
    text = read_text(os.path.join(directory, "commondir"))
    if text:
        common = os.path.normpath(os.path.join(directory, text.strip()))
    exclude = os.path.join(common, "info", "exclude")
    files = [IgnoreFile(exclude, top, "exclude", read_text(exclude))]
    everywhere = _excludes_file(top, common)
    if everywhere:
        text = read_text(everywhere)
        if text is not None:
            files.append(IgnoreFile(everywhere, top, "excludesfile", text))
    return files


def _excludes_file(top: str, common: str) -> str:
    home = os.path.expanduser("~")
    configured = os.environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    default = os.path.join(configured, "git", "ignore")
    candidates = [
        os.environ.get("GIT_CONFIG_SYSTEM", "/etc/gitconfig"),
        *_global_files(home, configured),
        os.path.join(common, "config"),
    ]
    for candidate in candidates:
        text = (read_text(candidate) or "").lower()
        if "excludesfile" in text or "[include" in text:
            return _ask_git(top) or default
    return default


def _global_files(home: str, configured: str) -> list[str]:
    named = os.environ.get("GIT_CONFIG_GLOBAL")
    if named is not None:
        return [named]
    return [os.path.join(home, ".gitconfig"), os.path.join(configured, "git", "config")]


def _ask_git(top: str) -> str:
    """git's own answer, '' where it has none or is not installed."""
    import subprocess

    command = ["git", "-C", top, "config", "--path", "--get", "core.excludesFile"]
    try:
        answer = subprocess.run(
            command, capture_output=True, stdin=subprocess.DEVNULL, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    path = os.fsdecode(answer.stdout).rstrip("\n")
    return os.path.join(top, path) if path else ""
