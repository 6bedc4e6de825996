"""What does not count unless somebody says so: the default ignores, as lines of an ignore file.

Both lists must stay spellable without a regular expression (no `?`, no sets): they are looked at
for every name of every tree, before anything else is loaded.

FIRM ones are never what a person works on, so a line that merely covers them by a wildcard does not
bring them back: `!*.py` in a .gitignore means no `.#main.py`, `!.git*` no `.git`, and `--filter '*.py'`
neither.  A line that spells the name (`!.git`) does, and so does `--on`.  FURTHER ones yield to
every stronger line, as DESIGN 6.2 has it.
"""

from __future__ import annotations

FIRM = """\
# Repositories: a directory, or in a worktree a file.
.git
.hg
.svn
.jj
# vim: swap files, the probe that it writes to learn whether it may (4913), backups; nano: .NAME.swp
*.swp
*.swo
*.swn
*.swx
4913
*~
# emacs: lock links and auto-save files; LibreOffice: .~lock.NAME#
.#*
\\#*#
.~lock.*#
# kate, JetBrains, gedit and all of GIO
.*.kate-swp
*___jb_*___
.goutputstream-*
# files that were deleted while open: NFS, FUSE
.nfs*
.fuse_hidden*
.DS_Store
"""

FURTHER = """\
# What Python and its tools write.  CPython writes NAME.pyc.123456 and renames it.
__pycache__
*.pyc
*.pyc.*
.venv
venv
.tox
.nox
.mypy_cache
.pytest_cache
.ruff_cache
.hypothesis
.coverage*
htmlcov
*.egg-info/
node_modules
# Editors keep their windows and settings here.
.idea/
.vscode/
# What a running program writes; nohup.out is where our own lines go under nohup.
*.log
*.pid
*.sock
*.sqlite3
*.sqlite3-*
*.db
*.db-*
nohup.out
# They are read again when they change: that restarts nothing by itself.
.gitignore
.gitattributes
.reloaderdignore
"""
