import io

import pytest
from refusals import raises_naming

from mien import progress
from mien.errors import Stopped
from mien.progress import Counting, TerminalCounting


@pytest.mark.parametrize(("total", "told"), [(3, "pack x: 1 of 3, 0:00 left"), (None, "pack x: 1")])
def test_a_log_gets_lines(monkeypatch, total, told):
    """Where there is no terminal, lines say how far it is, with the time left where the total is known."""
    monkeypatch.setattr(progress, "LINE_EVERY_SECONDS", -1)
    log = io.StringIO()

    assert [1, 2, 3] == list(TerminalCounting(log).over("pack x", total, [1, 2, 3]))
    assert told == log.getvalue().splitlines()[0]


@pytest.mark.parametrize("total", [3, None])
@pytest.mark.parametrize("name", ["pack x", "pack a{b}.csv", "pack a{.csv", "pack [/x].csv"])
def test_a_terminal_gets_a_bar(name, total):
    """On a terminal there is a bar, also where the total is not known, whatever the file's name."""
    terminal = io.StringIO()
    terminal.isatty = lambda: True

    assert [1, 2, 3] == list(TerminalCounting(terminal).over(name, total, iter([1, 2, 3])))
    assert name in terminal.getvalue()


def test_time_left_is_never_negative(monkeypatch):
    """Where there is more than was announced, nothing is left to wait for."""
    monkeypatch.setattr(progress, "LINE_EVERY_SECONDS", -1)
    log = io.StringIO()
    list(TerminalCounting(log).over("x", 1, [1, 2, 3]))

    assert all(line.endswith("0:00 left") for line in log.getvalue().splitlines())


def test_a_library_hears_nothing(capsys):
    """Without a terminal's counting nothing is printed."""
    assert [1, 2] == list(Counting().over("pack x", 2, [1, 2]))
    assert ("", "") == capsys.readouterr()


def test_work_stops_between_two_things():
    """Once a stop is asked for, no further thing is given out, and what made them is closed."""
    asked, closed = [], []

    def things():
        try:
            yield from range(5)
        finally:
            closed.append(True)

    with raises_naming(Stopped, "pack x"):
        for thing in TerminalCounting(io.StringIO(), stop=lambda: bool(asked)).over("pack x", 5, things()):
            if thing == 2:
                asked.append(True)
    assert 2 == thing
    assert [True] == closed
