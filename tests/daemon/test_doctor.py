"""`reloaderd doctor`: what it says is what `watch` does, and whether that can be."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support import procfs
from tests.support.daemon import Watch, reloaderd
from tests.support.faults import UNPRIVILEGED, limited
from tests.support.mounts import Mounts
from tests.support.places import REPOSITORY, Place, build
from tests.support.waiting import LIMIT


def doctor(
    place: Place,
    *words: str | bytes | Path,
    prefix: Sequence[str] = (),
    cwd: Path | None = None,
    shell: str = "",
    stdout: int = subprocess.PIPE,
    **environ: str,
) -> subprocess.CompletedProcess[str]:
    """Run it to its end, in `place.tree`; `shell` is what follows it on a shell's command line."""
    argv = [*prefix, *reloaderd(place), "doctor", *words]
    if shell:
        argv = ["sh", "-c", f'"$@" {shell}', "sh", *argv]
    return subprocess.run(
        argv,
        cwd=cwd or place.tree,
        env=place.environ(**environ),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        errors="surrogateescape",
        timeout=LIMIT,
        check=False,
    )


def table(place: Place, *words: str | bytes | Path, status: int = 0, **keywords: Any) -> str:
    """What it says to people; lines have one space where there were more."""
    done = doctor(place, *words, **keywords)
    assert (done.returncode, done.stderr) == (status, ""), done
    assert done.stdout.replace("\n", "").isprintable()
    return "\n".join(" ".join(line.split()) for line in done.stdout.splitlines())


def findings(place: Place, *words: str | bytes | Path, status: int = 0, **keywords: Any) -> dict[str, Any]:
    """What it says to programs."""
    done = doctor(place, "--json", *words, **keywords)
    assert (done.returncode, done.stderr) == (status, ""), done
    assert done.stdout.isascii() and done.stdout.count("\n") == 1
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def mend(said: str) -> str:
    """The only mend of a table."""
    [found] = re.findall(r"^mend: (.*)", said, re.M)
    return str(found)


# What is there


def test_a_plain_tree(place: Place) -> None:
    build(place.tree, {"a.py": "", "pkg/b.py": "", "pkg/deep/c.py": "", "pkg/deep/c.pyc": ""})
    said = table(place)
    assert said.startswith(f"{place.tree}\nfile system ")
    assert (
        "source inotify (the kernel sees all writers)\ndirectories 3\nfiles 3 that count, 1 more do not\n"
        in said
    )
    assert re.search(r"^watches [0-9]+ \(3 for its directories, [0-9]+ for the way to it\)$", said, re.M)
    assert re.search(r"^fs.inotify.max_user_watches [0-9,]+ [0-9,]+ [0-9]+$", said, re.M)
    assert said.endswith("Nothing needs a mend.")
    assert "ignored" not in said


def test_options_decide_as_for_watch(place: Place) -> None:
    build(place.tree, {"a.py": "", "b.txt": "", "c.md": "", "out/d.py": "", "venv/e.py": ""})
    found = findings(
        place, "-e", "py", "-f", "*.md", "-i", "/out/", "--no-default-ignores", "--on", "a.py=ignore"
    )
    [root] = found["roots"]
    assert (root["files"], root["files_ignored"], root["directories"]) == (2, 2, 2)
    [ignored] = root["ignored"]
    assert (ignored["path"], ignored["rule"]) == (f"{place.tree}/out", "--ignore /out/")


def test_what_is_ignored_is_counted_the_largest_first(place: Place) -> None:
    for number in range(1500):
        (place.tree / f"node_modules/m{number // 50}/d{number}").mkdir(parents=True)
    build(
        place.tree,
        {"src/build/x/y/": None, "src/a.py": "", ".gitignore": "*.o\nbuild/\n", ".git/info/": None},
    )
    said = table(place)
    assert (
        "ignored 1,536 directories in 3 places\n1,531 node_modules/ default ignores: node_modules\n" in said
    )
    assert "\n3 src/build/ .gitignore:2: build/\n2 .git/ default ignores: .git\n" in said
    ignored = findings(place)["roots"][0]["ignored"]
    assert ignored[1] == {
        "path": f"{place.tree}/src/build",
        "directories": 3,
        "complete": True,
        "rule": "build/",
        "origin": f"{place.tree}/.gitignore:2",
    }
    assert findings(place, "--no-gitignore", "--no-default-ignores")["roots"][0]["ignored"] == []


def test_numbers_stand_below_each_other(place: Place) -> None:
    for number in range(1100):
        (place.tree / f"node_modules/{number}").mkdir(parents=True)
    build(place.tree, {"venv/": None})
    lines = doctor(place).stdout.splitlines()
    ends = [re.search(r"^  .{13} *[0-9,]+", line) for line in lines if re.match(r"  .{13} *[0-9]", line)]
    assert len(ends) == 6 and len({found.end() for found in ends if found}) == 1, lines
    assert max(map(len, lines)) <= 80


def test_a_root_in_what_is_ignored_costs_what_it_costs(place: Place) -> None:
    build(place.tree, {"node_modules/mine/lib/a.js": "", "node_modules/other/x/": None})
    whole, mine = findings(place, ".", "node_modules/mine")["roots"]
    assert (whole["directories"], mine["directories"]) == (1, 2)
    assert whole["ignored_directories"] == 3  # node_modules, other, other/x


def test_lists_are_bounded(place: Place) -> None:
    for number in range(25):
        build(place.tree, {f"p{number:02}/__pycache__/": None})
    said = table(place)
    assert "ignored 25 directories in 25 places\n1 p00/__pycache__/ default ignores: __pycache__\n" in said
    assert said.count("__pycache__/") == 10
    assert "\nand 15 more (--json tells of more)\n" in said
    assert len(findings(place)["roots"][0]["ignored"]) == 25


def plain(lines: Sequence[str]) -> list[str]:
    """The lines without what no two machines have in common: file systems, the way to a place, limits."""
    patterns = [
        (r"file system .*", "file system"),
        (r"\bmax_\S+", "max"),
        (r"(fs|user)\.(inotify\.)?max", "max"),
    ]
    patterns += [
        (r"watches +[0-9]+ (.*), [0-9]+ for", r"watches \1 for"),
        (r"(limits of|max).*", r"\1"),
        (" +", " "),
    ]
    told = [line for line in lines if line and not line.startswith("(more")]
    for pattern, instead in patterns:
        told = [re.sub(pattern, instead, line) for line in told]
    return told


def test_the_example_of_the_docs_is_true(place: Place) -> None:
    page = (REPOSITORY / "docs/usage.md").read_text(encoding="utf-8")
    found = re.search(r"```console\n\$ reloaderd doctor\n(/home.*?)```", page, re.S)
    assert found is not None
    shop = place.tree / "shop"
    files = "__init__.py models.py views.py api/__init__.py api/orders.py"
    build(shop, dict.fromkeys((f"src/shop/{name}" for name in files.split()), ""))
    files = "README.md src/app.py templates/base.html templates/cart/list.html server.log"
    build(shop, dict.fromkeys(files.split(), ""))
    build(shop, {".gitignore": "*.tmp\n/dist/\n", "dist/css/": None})
    inside = ("hooks", "info", "objects/info", "objects/pack", "refs/heads", "refs/tags")
    build(shop, {f".git/{name}/": None for name in inside})
    build(shop, {f"node_modules/package{number}/lib/": None for number in range(601)})
    build(shop, {"node_modules/.bin/": None, "src/shop/__pycache__/": None})
    said = doctor(place, cwd=shop).stdout.replace(str(shop), "/home/ada/shop")
    assert plain(said.splitlines()) == plain(found[1].splitlines())


# What watch takes

ROOTS = {
    "directory": ["."],
    "file": ["src/a.py"],
    "symlinked": ["current"],
    "nested": [".", "src/pkg"],
    "nested in what is ignored": [".", "node_modules/mine"],
    "symlinked and real": ["current", "src", "src/a.py"],
    "through a link in the middle": ["current/pkg"],
    "file behind a link": ["link.py"],
    "followed": ["--follow-links", "."],
    "filtered": ["-e", "py", "-i", "deep", "."],
    "polled": ["--backend", "poll", "."],
    "by pyinotify": ["--backend", "pyinotify", "."],
}


@pytest.mark.parametrize("words", ROOTS.values(), ids=ROOTS)
def test_watches_needed_are_those_that_watch_holds(words: list[str], place: Place, watch: Watch) -> None:
    """In a repository with another in it, ignore files above the roots, and links that lead in circles."""
    build(place.tree, {"src/a.py": "", "src/pkg/b.py": "", "src/pkg/deep/c.py": "", ".gitignore": "*.o\n"})
    build(place.tree, {".git/info/exclude": "x/\n", "vendor/.git/HEAD": "", "vendor/lib/v.py": ""})
    build(place.tree, {"node_modules/mine/d.js": "", "node_modules/other/": None, "vendor/.gitignore": "y\n"})
    build(place.outside, {"real/deep/e.py": ""})
    for name, target in [
        ("current", "src"),
        ("link.py", "../outside/real/deep/e.py"),
        ("src/loop", "../src"),
    ]:
        (place.tree / name).symlink_to(target)
    (place.tree / "lib").symlink_to("../outside/real")
    *options, last = words
    daemon = watch(*options, roots=[last], marker="src/a.py", read=[str(place.tree / "src/a.py")])
    daemon.final_state_seen()
    found = findings(place, *words)
    assert (found["watches_needed"] == 0) == ("poll" in words)
    daemon.wait_watches(found["watches_needed"], found["watches_needed"])
    if len(found["roots"]) == 1:
        assert sum(found["roots"][0]["watches"].values()) == found["watches_needed"]
    assert found["watches_needed"] == procfs.inotify_watches(daemon.pid)


# Other file systems


@pytest.mark.needs("mounts", "nsenter")
def test_mounts_below_a_root_are_told_apart(place: Place, mounts: Mounts) -> None:
    """A file system in memory, a directory seen twice, what is made up, a file by itself; none is hidden."""
    build(place.tree, {"tmp/": None, "covered/below/": None, "twice/": None, "made/": None, "one.py": ""})
    build(place.outside, {"source/x/y/": None, "one.py": ""})
    mounts.tmpfs(place.tree / "tmp")
    mounts.tmpfs(place.tree / "covered/below")
    mounts.tmpfs(place.tree / "covered")
    mounts.run("mkdir", place.tree / "tmp/a", place.tree / "tmp/b", place.tree / "covered/below")
    mounts.bind(place.outside / "source", place.tree / "twice")
    mounts.bind(Path("/proc/sys/fs"), place.tree / "made")
    mounts.bind(place.outside / "one.py", place.tree / "one.py")
    prefix = mounts.prefix(place.tree)
    [root] = findings(place, prefix=prefix)["roots"]
    keys = ("type", "source", "why", "directories")
    parts = {Path(one["path"]).name: tuple(one[key] for key in keys) for one in root["parts"]}
    seen = "the kernel sees all writers"
    assert (parts["tmp"], parts["covered"]) == (("tmpfs", "inotify", seen, 3), ("tmpfs", "inotify", seen, 2))
    assert parts["twice"] == (root["type"], "inotify", seen, 3)
    assert parts["one.py"] == (root["type"], "poll", "mounted by itself", 0)
    assert len(parts) == 4
    said = table(place, prefix=prefix)
    assert " 3 tmp/ inotify (tmpfs: the kernel sees all writers)\n" in said
    assert "made/ proc: made up when read\n" in said
    assert said.endswith("Nothing needs a mend.")


@pytest.mark.needs("mounts", "nsenter")
def test_a_root_behind_a_link_is_on_the_mount_it_leads_to(place: Place, mounts: Mounts) -> None:
    real = place.outside / "real"
    real.mkdir()
    (place.tree / "link").symlink_to("../outside/real")
    mounts.tmpfs(real)
    mounts.run("mkdir", real / "sub")
    mounts.tmpfs(real / "sub")
    [root] = findings(place, "link", prefix=mounts.prefix(place.tree))["roots"]
    assert (root["type"], root["mount"]) == ("tmpfs", str(real))
    assert [part["path"] for part in root["parts"]] == [f"{place.tree}/link/sub"]


@pytest.mark.needs("fuse", "nsenter")
def test_po16_fuse_is_polled_below_a_root_and_as_one(place: Place, mounts: Mounts) -> None:
    build(place.outside, {"backing/pkg/a.py": ""})
    build(place.tree, {"remote/": None, "pkg/b.py": ""})
    mounts.fuse(place.outside / "backing", place.tree / "remote", "sshfs")
    prefix = mounts.prefix(place.tree)
    assert "of these 2 remote/ poll (fuse.sshfs: others write to it)\n" in table(place, prefix=prefix)
    found = findings(place, "remote", prefix=prefix)
    [root] = found["roots"]
    assert (root["type"], root["source"], root["parts"]) == ("fuse.sshfs", "poll", [])
    assert root["watches"]["below"] == 0
    said = table(place, "--backend=inotify", prefix=prefix, status=1)
    assert "inotify does not tell of all that changes in" in said
    assert mend(said) == "leave out --backend inotify"
    mounts.kill_servers()
    said = table(place, prefix=prefix, status=1)
    assert "remote/ its server is gone\n" in said
    assert mend(said) == "--ignore /remote/"


@pytest.mark.needs("fuse", "nsenter")
def test_watch_holds_as_many_watches_across_mounts(place: Place, mounts: Mounts, watch: Watch) -> None:
    build(place.outside, {"backing/pkg/": None})
    build(place.tree, {"a.py": "", "one/": None, "two/": None, "remote/": None})
    mounts.tmpfs(place.tree / "one")
    mounts.run("mkdir", place.tree / "one/x", place.tree / "one/y")
    mounts.bind(place.tree / "one", place.tree / "two")
    mounts.fuse(place.outside / "backing", place.tree / "remote")
    prefix = mounts.prefix(place.tree)
    daemon = watch(prefix=prefix, read=[str(place.tree / "a.py"), str(place.tree / "marker.py")])
    needed = findings(place, prefix=prefix)["watches_needed"]
    daemon.wait_watches(needed, needed)


def test_what_is_made_up_is_polled_and_has_no_mend_but_another_path(place: Place) -> None:
    said = table(place, "/proc/sys/fs", status=1)
    assert "file system proc, mounted on /proc\nsource poll (proc: made up when read)\n" in said
    assert mend(said) == "name another PATH"


def test_inotify_that_is_asked_for_where_it_is_deaf(place: Place) -> None:
    said = table(place, "--backend", "inotify", "/proc/sys/fs", status=1)
    assert "source inotify (asked for)" in said
    assert "inotify does not tell of all that changes in /proc/sys/fs" in said
    assert mend(said) == "leave out --backend inotify"


def test_polling_that_is_asked_for_is_no_fault(place: Place) -> None:
    build(place.tree, {"a/b/": None})
    said = table(place, "--backend", "poll")
    assert "source poll (asked for)\ndirectories 3\n" in said
    assert "watches 0 (" in said
    assert re.search(r"^fs.inotify.max_user_instances [0-9,]+ [0-9,]+ 0$", said, re.M)


# What cannot be watched


@pytest.mark.needs("modes")
def test_a_directory_that_may_not_be_read(place: Place, watch: Watch) -> None:
    build(place.tree, {"locked/a.py": "", "passage/b.py": "", "open/c.py": ""})
    (place.tree / "locked").chmod(0)
    (place.tree / "passage").chmod(0o111)
    said = table(place, prefix=UNPRIVILEGED, status=1)
    reason = "permission denied"
    assert "directories 2\n" in said
    assert f"not watched 2 directories\nlocked/ {reason}\npassage/ {reason}\n" in said
    assert "problem: 2 directories may not be read by this user, and so not be watched\n" in said
    ignoring = re.findall(r"--ignore (\S+)", mend(said))
    assert sorted(ignoring) == ["/locked/", "/passage/"]
    assert table(place, *(f"--ignore={one}" for one in ignoring), prefix=UNPRIVILEGED).endswith("a mend.")
    found = findings(place, prefix=UNPRIVILEGED, status=1)
    assert {"path": f"{place.tree}/locked", "error": "EACCES"} in found["roots"][0]["unreadable"]
    daemon = watch(prefix=UNPRIVILEGED, warnings=True, read=[str(place.tree / "marker.py")])
    needed = found["watches_needed"]
    daemon.wait_watches(needed, needed)


@pytest.mark.needs("users")
def test_more_watches_than_are_allowed_and_the_mend(place: Place) -> None:
    for number in range(30):
        (place.tree / f"d{number}").mkdir()
    found = findings(place, prefix=limited(watches=10), status=1)
    needed = found["watches_needed"]
    assert needed > 30
    assert found["limits"]["watches"] == {"sysctl": "user.max_inotify_watches", "value": 10, "used": 0}
    assert (
        found["limits"]["complete"] is False
    )  # who started the namespace is outside, and may have taken more
    said = table(place, prefix=limited(watches=10), status=1)
    problem = re.sub("\n(?!mend)", " ", said[said.index("problem: ") :])
    assert (
        f"user.max_inotify_watches is 10, 0 are taken, {needed} are needed; {needed - 10} directories"
        in problem
    )
    enough = re.fullmatch(r"sudo sysctl user.max_inotify_watches=([0-9]+)", mend(said))
    assert enough is not None
    assert table(place, prefix=limited(watches=int(enough[1]))).endswith("Nothing needs a mend.")
    assert table(place, prefix=limited(watches=needed)).endswith("Nothing needs a mend.")
    table(place, prefix=limited(watches=needed - 1), status=1)


@pytest.mark.needs("users")
def test_no_instance_is_left_and_the_mend(place: Place) -> None:
    said = table(place, prefix=limited(instances=0), status=1)
    assert "source poll (no inotify instance is left (EMFILE))\n" in said
    assert "user.max_inotify_instances is 0, 0 are taken; everything would be polled" in said.replace(
        "\n", " "
    )
    enough = re.match(r"sudo sysctl user.max_inotify_instances=([0-9]+), or ", mend(said))
    assert enough is not None
    assert table(place, prefix=limited(instances=int(enough[1]))).endswith("Nothing needs a mend.")
    in_need, in_plenty = (findings(place, prefix=limited(instances=n), status=n ^ 1) for n in (0, 1))
    assert in_need["watches_needed"] == in_plenty["watches_needed"] > 0


@pytest.mark.needs("users")
def test_what_is_taken_by_others_of_the_same_user_is_missing(place: Place, watch: Watch) -> None:
    """The daemon and the doctor in one namespace: what the one has, the other does not get."""
    build(place.tree, {"a/b/c/": None})
    needed = findings(place)["watches_needed"]
    asked = shlex.join([*reloaderd(place), "doctor", "--json"])
    for spare, status in ((0, 0), (-1, 1)):
        name = place.outside / f"found{spare}"
        script = f"{asked} >{name}.json; echo $? >{name}; exec sleep 1000"
        limit = limited(watches=2 * needed + spare)
        # the doctor is a Python command here, whose modules would be watched as well
        daemon = watch("--no-modules", prefix=limit, command=["sh", "-c", script])
        daemon.wait(lambda name=name: name.exists() and name.read_text(), "the doctor")
        assert int(name.read_text()) == status
        found = json.loads(name.with_suffix(".json").read_text())
        assert found["limits"]["watches"]["used"] == needed
        daemon.finish()


# For programs


def test_the_keys_of_the_json_object(place: Place) -> None:
    build(place.tree, {"a.py": "", "venv/": None})
    found = findings(place)
    assert {*found} == {"roots", "watches_needed", "limits", "problems"}
    limits = found["limits"]
    assert {*limits} == {"watches", "instances", "queued_events", "complete"}
    assert limits["queued_events"]["sysctl"] == "fs.inotify.max_queued_events"
    [root] = found["roots"]
    part = {"path", "type", "mount", "source", "why", "directories"}
    counts = {"files", "files_ignored", "watches", "parts_count", "ignored_count", "unreadable_count"}
    assert {*root} == {*part, *counts, "parts", "ignored", "ignored_directories", "unreadable"}
    assert {*root["watches"]} == {"below", "way"}
    assert {*root["ignored"][0]} == {"path", "directories", "complete", "rule", "origin"}
    assert {*findings(place, "/proc/sys/fs", status=1)["problems"][0]} == {"text", "mend"}
    page = (REPOSITORY / "docs/usage.md").read_text(encoding="utf-8")
    told = {
        *re.findall(
            r"`(\w+)`", "".join(re.findall(r"^\| `(?:roots|watches_needed|limits|problems)`.*", page, re.M))
        )
    }
    keys = [found, root, limits, limits["watches"], root["watches"], root["ignored"][0]]
    assert told >= {key for one in keys for key in one if not key.endswith("_count")}


# Names, places and streams that are not as usual

WEIRD = [b"\xff\xfe", b"new\nline", b"\x1b[31mred", b" ", b"a b", "größe".encode(), b"$(touch x)", b"-rf"]


def test_nm07_names_are_escaped_for_people_and_whole_for_programs(place: Place) -> None:
    for name in WEIRD:
        os.makedirs(os.path.join(os.fsencode(place.tree), name, b"node_modules"))
    found = findings(place)
    paths = {os.fsencode(one["path"]) for one in found["roots"][0]["ignored"]}
    assert paths == {os.path.join(os.fsencode(place.tree), name, b"node_modules") for name in WEIRD}
    done = doctor(place)
    assert (done.returncode, done.stderr) == (0, "")
    assert r"\xff\xfe/node_modules/" in done.stdout
    assert r"new\nline/node_modules/" in done.stdout
    assert r"\x1b[31mred/node_modules/" in done.stdout
    assert os.listdir(place.tree).count("x") == 0
    for name in WEIRD[:-1]:
        assert findings(place, name)["roots"][0]["directories"] == 1
    assert table(place, WEIRD[0]).startswith(rf"{place.tree}/\xff\xfe" + "\n")


def test_a_locale_without_utf8_is_no_reason_to_fail(place: Place) -> None:
    (place.tree / "größe/node_modules").mkdir(parents=True)
    assert r"gr\xf6\xdfe/node_modules/" in table(place, PYTHONIOENCODING="ascii")


def test_a_working_directory_that_is_gone_is_one_line(place: Place) -> None:
    gone = place.tree / "gone"
    gone.mkdir()
    done = doctor(place, prefix=["sh", "-c", 'rmdir "$PWD"; exec "$@"', "sh"], cwd=gone)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("reloaderd: the current directory is gone") and done.stderr.count("\n") == 1


@pytest.mark.needs("prlimit")
def test_li10_too_few_descriptors_are_told_in_one_line(place: Place) -> None:
    done = doctor(place, prefix=["prlimit", "--nofile=6"])
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "reloaderd: cannot look: too many open files in reloaderd (raise the limit that ulimit -n shows)\n"
    )


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["table", "json"])
def test_a_reader_that_stops_and_an_output_that_is_closed(form: list[str], place: Place) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = doctor(place, *form, stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")
    for shell in (">&-", "<&- 2>&-"):
        done = doctor(place, *form, shell=shell)
        assert (done.returncode, done.stderr) == (0, ""), shell
    done = doctor(place, *form, shell="| head -1")
    assert (done.stdout.count("\n"), done.stderr) == (1, "")
    full = doctor(place, *form, shell=">/dev/full")
    assert (full.returncode, full.stderr.count("\n")) == (1, 1)
    assert "no space left" in full.stderr


@pytest.mark.parametrize(
    ("line", "named", "hint"),
    [
        ("nope", "nope: no such file or directory", "create it"),
        ("--bogus", "unknown option --bogus", "reloaderd doctor --help"),
        ("--backnd poll", "unknown option --backnd", "did you mean --backend?"),
        ("--backend kqueue", "--backend kqueue: no such choice", "poll"),
        ("--json --json", "--json is given twice", ""),
        ("--json=yes", "--json takes no value", "reloaderd doctor --help"),
        ("--debounce 1s", "--debounce changes nothing of what is watched", "leave it out"),
        (". -- python app.py", "doctor takes no COMMAND", "reloaderd doctor ."),
        ("--ext", "--ext needs a value", ""),
    ],
)
def test_cf01_mistakes_are_one_line(place: Place, line: str, named: str, hint: str) -> None:
    done = doctor(place, *line.split())
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done
    assert done.stderr.startswith("reloaderd: ") and named in done.stderr and hint in done.stderr
