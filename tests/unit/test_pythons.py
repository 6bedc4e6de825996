from __future__ import annotations

from reloaderd.core.pythons import Pythons


def test_the_first_process_stands_for_what_nobody_loaded() -> None:
    pythons = Pythons()
    assert pythons.of(["/p/a.py"]) == ""
    pythons.tell(1, "python3.8")
    pythons.tell(2, "python3.11")
    assert pythons.of(["/p/a.py"]) == "python3.8"
    pythons.begin()
    assert pythons.of(["/p/a.py"]) == "python3.8"
    pythons.tell(3, "python3.9")
    assert pythons.of(["/p/a.py"]) == "python3.9"


def test_a_file_has_the_interpreter_that_loaded_it() -> None:
    pythons = Pythons()
    pythons.tell(1, "python3.8")
    pythons.load(1, "/p/launcher.py")
    pythons.tell(2, "python3.11")
    pythons.load(2, "/p/app.py")
    pythons.load(3, "/p/of_a_fork.py")
    assert pythons.of(["/p/app.py"]) == "python3.11"
    assert pythons.of(["/p/launcher.py"]) == pythons.of(["/p/of_a_fork.py"]) == "python3.8"
    assert pythons.of(["/p/new.py", "/p/app.py"]) == "python3.11"


def test_a_launcher_that_becomes_another_python() -> None:
    pythons = Pythons()
    pythons.tell(1, "python3.8")
    pythons.load(1, "/p/launcher.py")
    pythons.tell(1, "python3.11")
    pythons.load(1, "/p/app.py")
    assert pythons.of(["/p/app.py"]) == pythons.of(["/p/new.py"]) == "python3.11"
