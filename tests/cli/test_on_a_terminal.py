"""A night on a pseudo terminal: one panel that is gone at the end, whatever ends it; through a pipe plain lines alone."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from screen import on_terminal

pytestmark = pytest.mark.slow

TOLD = Path(__file__).parents[1] / "support" / "told_night.py"


@pytest.fixture
def shown(tmp_path):
    """Runs a told night on a terminal."""

    def run(mode="done", *more, columns=80, seen=lambda terminal: None, stdout_too=True, **environ):
        command = [sys.executable, str(TOLD), str(tmp_path / "work"), mode, *more]
        kept = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
        return on_terminal(
            command,
            columns=columns,
            environ={**kept, **environ},
            folder=tmp_path,
            seen=seen,
            stdout_too=stdout_too,
        )

    return run


def stood(ran, *words):
    """Whether some moment showed all the words at once."""
    return any(all(word in "\n".join(frame) for word in words) for frame in ran.frames)


@pytest.mark.parametrize("columns", [40, 80, 140])
def test_one_panel_shows_the_step_and_leaves_only_words_behind(shown, columns):
    ran = shown(columns=columns)
    assert ran.status == 0
    assert stood(ran, "2/9" if columns < 60 else "step 2 of 9", "0 of 6 jobs", "ETA after the first", "COIN0USDT-um")
    assert stood(ran, "about a few seconds")
    assert all(frame.count("╭") <= 1 for frame in ("\n".join(lines) for lines in ran.frames))
    text = " ".join(" ".join(ran.screen.lines).split())
    assert "╭" not in text
    assert "2 of 9 steps in" in text
    assert "THE TABLES" in text
    assert text.count("the root key in /the/keys has no passphrase") == 1
    assert ran.screen.cursor_shown
    assert ran.screen.coloured
    assert (ran.raw.count("workdir_opened"), (ran.screen.lines[-1])) == (0, "")


def test_no_color_is_obeyed(shown):
    ran = shown(NO_COLOR="1")
    assert ran.status == 0
    assert stood(ran, "step 2 of 9")
    assert not ran.screen.coloured


def test_a_terminal_that_is_made_narrower_and_wider_changes_the_panel_alone(shown):
    widths = iter((50, 120, 80))

    def seen(terminal):
        if "fetch and" in "\n".join(terminal.screen.lines):
            width = next(widths, None)
            if width is not None:
                terminal.resize(width)

    ran = shown(columns=100, seen=seen)
    assert ran.status == 0
    assert ran.screen.cursor_shown
    assert "THE TABLES" in ran.screen.lines


def test_ctrl_c_ends_with_its_word_and_the_terminal_as_it_was(shown):
    asked = []

    def seen(terminal):
        if not asked and "step 2 of 9" in "\n".join(terminal.screen.lines):
            asked.append(True)
            terminal.interrupt()

    ran = shown("waiting", seen=seen)
    assert ran.status == 130
    assert ran.screen.cursor_shown
    lines = [line for line in ran.screen.lines if line]
    assert "╭" not in "".join(lines)
    assert any(line.startswith("INTERRUPTED: interrupted; start again to go on") for line in lines)
    assert any("1 of 9 steps in" in line and "log work/logs/20260302T0000-19c.log" in line for line in lines)


def test_a_night_that_is_killed_gives_the_terminal_its_cursor_back(shown):
    asked = []

    def seen(terminal):
        if not asked and "step 2 of 9" in "\n".join(terminal.screen.lines):
            asked.append(True)
            terminal.process.terminate()

    ran = shown("waiting", seen=seen)
    assert ran.status == -signal.SIGTERM
    assert ran.screen.cursor_shown
    assert "╭" not in "".join(ran.screen.lines)


def test_an_exception_in_the_middle_is_told_below_and_the_terminal_is_as_it_was(shown):
    ran = shown("broken")
    assert ran.status == 1
    assert ran.screen.cursor_shown
    assert "╭" not in "".join(ran.screen.lines)
    assert "ZeroDivisionError: in the middle" in "\n".join(ran.screen.lines)


def test_verbose_shows_log_lines_above_the_panel(shown):
    ran = shown("done", "verbose", columns=120)
    text = "\n".join(ran.screen.lines)
    assert "workdir_opened" in text
    assert "universe_built" in text
    assert "╭" not in text


def test_the_result_on_stdout_stays_apart_from_the_panel_on_stderr(shown):
    ran = shown(stdout_too=False)
    assert ran.out == "THE TABLES\n"
    assert stood(ran, "step 2 of 9")


@pytest.mark.parametrize("more", [(), ("verbose",), ("json",)])
def test_a_pipe_gets_no_control_character(tmp_path, more):
    command = [sys.executable, str(TOLD), str(tmp_path / "work"), "done", *more]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    lines = done.stderr.splitlines()
    assert all(line.isprintable() for line in lines)
    if more == ("json",):
        assert all(line.startswith("{") for line in lines)
        return
    plain = [line for line in lines if not line.startswith("{")]
    assert [" step 1 of 9: choose the pairs" in plain[0], " step 2 of 9: fetch" in plain[1]] == [True, True]
    assert "6 of 8 pairs, skips so far 2 of 8" in plain[0]
    assert "6 jobs, skips so far 3 of 8" in plain[1]
    assert plain[2].endswith("log work/logs/20260302T0000-19c.log")
    assert plain[3].startswith("note: the root key")
    assert len(plain) == 4
    assert bool(len(lines) > 4) == bool(more)
