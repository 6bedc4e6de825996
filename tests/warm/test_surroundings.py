"""A run that comes of a copy among what it shares with others: the terminal, sockets, the environment."""

from __future__ import annotations

import sys

import pytest

from tests.support import procfs
from tests.support.cgroups import Delegation
from tests.support.mounts import Mounts
from tests.support.serving import free_port
from tests.warm.conftest import Twice

ASKS = """
import json, os, sys
from telling import tell
print("who asks", flush=True)
name = input()
tell([name, sys.stdin.isatty(), os.isatty(1), os.tcgetpgrp(0) == os.getpgrp(), os.get_terminal_size(0)[:2]])
"""


def test_the_terminal_is_lent_to_a_run_that_asks(twice: Twice) -> None:
    daemon = twice.start({"app.py": ASKS}, terminal=True)
    assert daemon.terminal is not None
    daemon.terminal.wait_output("who")
    daemon.terminal.send("ada\n")
    cold = twice.said(1)
    twice.wait_ready()
    run = twice.again()
    daemon.terminal.send("ada\n")
    assert twice.said(run) == cold


PDB = """
import json, pdb, telling
x = 5
pdb.set_trace()
telling.tell(x)
"""


def test_the_debugger_works(twice: Twice) -> None:
    daemon = twice.start({"app.py": PDB}, terminal=True)
    assert daemon.terminal is not None
    daemon.terminal.wait_output("Pdb")
    daemon.terminal.send("x = 1\nc\n")
    assert twice.said(1) == 1
    twice.wait_ready()
    run = twice.again()
    daemon.terminal.send("x = 2\nc\n")
    assert twice.said(run) == 2


LISTENS = """
import json, os, socket
from telling import tell
found = []
for at in range(int(os.environ["LISTEN_FDS"])):
    one = socket.socket(fileno=3 + at)
    listens = one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    found.append([one.getsockname()[1], listens, os.get_inheritable(3 + at)])
tell([found, int(os.environ["LISTEN_PID"]) == os.getpid(), os.environ["LISTEN_FDNAMES"],
  len(os.listdir("/proc/self/fd"))])
"""


def test_sockets_that_reloaderd_listens_on_are_handed_on(twice: Twice) -> None:
    ports = [free_port(), free_port()]
    options = [word for port in ports for word in ("--listen", str(port))]
    cold, warm = twice.both({"app.py": LISTENS}, options=options)
    assert cold == warm
    assert [port for port, _, _ in cold[0]] == ports and cold[1]


CHANGED = """
import json, os
from telling import tell
tell([os.environ["RELOADERD_CHANGED"], os.environ["RELOADERD_CHANGED_COUNT"], os.environ["RELOADERD_RUN"],
  os.popen("echo $RELOADERD_CHANGED $RELOADERD_RUN").read().split(), os.environ["RELOADERD"],
  os.environ.get("SET")])
"""


def test_a_run_knows_its_number_and_what_has_changed(twice: Twice) -> None:
    twice.start({"app.py": CHANGED}, options=["--env", "SET=a b\\nc=d"])
    twice.said(1)
    twice.wait_ready()
    for _ in range(2):
        run = twice.again()
        path = str(twice.place.tree / "app.py")
        name = twice.place.tree.name
        assert twice.said(run) == [path, "1", str(run), [path, str(run)], name, "a b\\nc=d"]


def test_a_library_that_is_imported_later_is_imported_ahead_the_next_time(twice: Twice) -> None:
    app = "import json, sys, time\nfrom telling import tell\nhere = 'colorsys' in sys.modules\n"
    app += "time.sleep(1.5)\nimport colorsys\ntell(here)\ntime.sleep(600)\n"
    twice.start({"app.py": app}, environ={"PYTHONPATH": str(twice.place.outside / "lib" / "site-packages")})
    assert twice.said(1) is False
    first = twice.wait_ready()["modules"]
    assert twice.said(twice.again()) is False
    twice.daemon.wait(
        lambda: any(one["modules"] > first for one in twice.daemon.named("warm")), "another copy"
    )
    assert twice.said(twice.again()) is True


def test_a_directory_that_is_made_anew_is_entered_anew(twice: Twice) -> None:
    app = "import json, os\nfrom telling import tell\ntell([os.getcwd(), os.listdir('.')])\n"
    (twice.place.outside / "work").mkdir()
    (twice.place.outside / "work" / "old").touch()
    options = ["--chdir", str(twice.place.outside / "work")]
    twice.start({"app.py": app}, sys.executable, str(twice.place.tree / "app.py"), options=options)
    assert twice.said(1)[1] == ["old"]
    twice.wait_ready()
    (twice.place.outside / "work").rename(twice.place.outside / "away")
    (twice.place.outside / "work").mkdir()
    (twice.place.outside / "work" / "new").touch()
    assert twice.said(twice.again())[1] == ["new"]


def test_a_script_that_is_for_another_program_now_is_executed(twice: Twice) -> None:
    app = "import json, sys\nfrom telling import tell\ntell(sys.flags.optimize)\n"
    script = twice.place.tree / "run"
    script.write_text(f"#!{sys.executable} -u\n{app}")
    script.chmod(0o755)
    cold, warm = twice.both({"app.py": ""}, "./run")
    assert cold == warm == 0
    run = twice.again(warm=False, edit=lambda tree: script.write_text(f"#!{sys.executable} -O\n{app}"))
    assert twice.said(run) == 1
    twice.daemon.wait(lambda: "modules" in twice.daemon.named("warm")[-1], "a copy again")
    assert twice.said(twice.again()) == 1


@pytest.mark.needs("root", "mounts")
@pytest.mark.kernel("cgroup2")
def test_a_run_of_a_copy_has_a_cgroup_of_its_own(mounts: Mounts, twice: Twice) -> None:
    given = Delegation(mounts)
    app = "import json, os, time\nfrom telling import tell\npid = os.fork()\n"
    app += "if pid:\n    tell([os.getpid(), pid])\ntime.sleep(600)\n"
    twice.start({"app.py": app}, options=["--stop-timeout", "1s"], **given.keywords())
    assert sorted(twice.said(1)) == given.within("run-tree-1")
    twice.wait_ready()
    for _ in range(2):
        run = twice.again()
        assert sorted(twice.said(run)) == given.within(f"run-tree-{run}")
        assert given.runs() == [f"run-tree-{run}"]
        twice.daemon.wait(lambda: len(procfs.children(keeper(twice))) == 3, "the copies")
        following = f"run-tree-{run + 1}"
        twice.daemon.wait(
            lambda name=following: len(given.within(name)) == 1, "the one that is to be the next run"
        )
        assert given.within(following)[0] in procfs.children(keeper(twice))
    twice.daemon.finish()
    given.close()


def keeper(twice: Twice) -> int:
    return procfs.children(twice.daemon.pid)[0]


@pytest.mark.parametrize("order", ["project", "library"])
def test_a_sitecustomize_is_run(twice: Twice, order: str) -> None:
    own = "import sys\nsys.customized = True\n"
    twice.libraries(**({"sitecustomize.py": own} if order == "library" else {}))
    files = {"app.py": "import json, sys\nfrom telling import tell\ntell(getattr(sys, 'customized', None))\n"}
    if order == "project":
        files["sitecustomize.py"] = own
    path = f"{twice.place.tree}:{twice.place.outside}/lib/site-packages"
    twice.start(files, environ={"PYTHONPATH": path})
    assert twice.said(1) is True
    event = twice.daemon.wait_event("warm")
    assert ("modules" in event) is (order == "library")
    if order == "project":
        assert "is the project's own" in event["reason"]
    assert twice.said(twice.again(warm=order == "library")) is True
