"""A terminal as a program sees it: a pseudo terminal, and the screen that its output draws."""

import codecs
import fcntl
import os
import re
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from select import select

_SEQUENCE = re.compile(r"\x1b\[(\??[0-9;]*)([A-Za-z])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[()][A-Z0-9]|\x1b[=>78]")


@dataclass(slots=True)
class Screen:
    """Rows of text as a terminal of so many columns shows them, scrolled-off ones included."""

    columns: int
    rows: list[list[str]] = field(default_factory=lambda: [[]])
    row: int = 0
    column: int = 0
    cursor_shown: bool = True
    coloured: bool = False
    cut: str = ""

    def write(self, text: str) -> None:
        """Draw what a program has written; a sequence that is cut off waits for its rest."""
        at, text = 0, self.cut + text
        begun = text.rfind("\x1b")
        whole = begun < 0 or _SEQUENCE.match(text, begun) is not None
        text, self.cut = (text, "") if whole else (text[:begun], text[begun:])
        while at < len(text):
            found = _SEQUENCE.match(text, at)
            if found is not None:
                self._control(found[1] or "", found[2] or "")
                at = found.end()
                continue
            self._draw(text[at])
            at += 1

    @property
    def lines(self) -> list[str]:
        """What stands there, without trailing blanks."""
        return ["".join(row).rstrip() for row in self.rows]

    def _draw(self, letter: str) -> None:
        if letter == "\r":
            self.column = 0
        elif letter == "\n":
            self._down()
        elif letter >= " ":
            if self.column >= self.columns:
                self._down()
                self.column = 0
            row = self.rows[self.row]
            row.extend(" " * (self.column + 1 - len(row)))
            row[self.column] = letter
            self.column += 1

    def _down(self) -> None:
        self.row += 1
        if self.row == len(self.rows):
            self.rows.append([])

    def _control(self, given: str, what: str) -> None:
        count = int(given) if given.isdigit() else 1
        if what == "A":
            self.row = max(0, self.row - count)
        elif what == "K":
            self.rows[self.row] = [] if given == "2" else self.rows[self.row][: self.column]
        elif what in {"h", "l"} and given == "?25":
            self.cursor_shown = what == "h"
        elif what == "m" and any(30 <= int(code or 0) <= 49 for code in given.split(";")):
            self.coloured = True


@dataclass(slots=True)
class Ran:
    """A program that ran on a terminal: how it ended, all it wrote there, and its stdout where that was a pipe."""

    status: int
    screen: Screen
    raw: str
    frames: list[list[str]]
    out: str


def on_terminal(
    command: Sequence[str],
    *,
    columns: int,
    environ: dict[str, str],
    folder: Path,
    seen: Callable[["Terminal"], None] = lambda _terminal: None,
    stdout_too: bool = True,
    patience_s: float = 300.0,
) -> Ran:
    """Run a command on a pseudo terminal of so many columns; `seen` is called with every new piece of output."""
    terminal = Terminal(columns)
    environ = {key: value for key, value in environ.items() if key not in {"COLUMNS", "LINES"}}
    environ["TERM"] = "xterm-256color"
    process = subprocess.Popen(
        ["env", "--default-signal=INT", *command],  # a suite in the background ignores it, and so would the program
        stdin=terminal.inner,
        stdout=terminal.inner if stdout_too else subprocess.PIPE,
        stderr=terminal.inner,
        env=environ,
        cwd=folder,
        start_new_session=True,
    )
    terminal.process = process
    os.close(terminal.inner)
    ends = time.monotonic() + patience_s
    while terminal.read():
        seen(terminal)
        assert time.monotonic() < ends, f"no end after {patience_s} s: {terminal.screen.lines[-30:]}"
    out = process.stdout.read().decode() if process.stdout is not None else ""
    status = process.wait(60)
    if process.stdout is not None:
        process.stdout.close()
    os.close(terminal.outer)
    return Ran(status=status, screen=terminal.screen, raw=terminal.raw, frames=terminal.frames, out=out)


class Terminal:
    """The outer end of a pseudo terminal."""

    def __init__(self, columns: int) -> None:
        self.outer, self.inner = os.openpty()
        self.process: subprocess.Popen[bytes] | None = None
        self.screen = Screen(columns=columns)
        self.raw = ""
        self.frames: list[list[str]] = []
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.resize(columns)

    def resize(self, columns: int) -> None:
        """Give the window another width, as a person does by dragging its edge."""
        fcntl.ioctl(self.outer, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self.screen.columns = columns

    def interrupt(self) -> None:
        """Ctrl-C in the window of the program."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGINT)

    def read(self) -> bool:
        """Take what was written; False when the program has closed the terminal."""
        ready, _, _ = select([self.outer], [], [], 30.0)
        try:
            data = os.read(self.outer, 65536) if ready else b""
        except OSError:  # Linux says EIO when the last writer is gone
            return False
        text = self._decoder.decode(data)
        self.raw += text
        self.screen.write(text)
        self.frames.append(self.screen.lines)
        return bool(ready)
