"""A gate before every durable system call of a process tree: count it, let it pass, fail it, cut it short, or kill.

strace's ``inject=...:when=K`` counts per thread, and a night writes from many; the kernel's seccomp notification stops every
thread and child at one place, in one order. Each call waits until the supervisor has answered, so "killed before call K" is
exact. Linux on x86-64 only; `available` says whether it works here.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import platform
import select
import signal
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

CALLS: Final = {
    1: "write", 18: "pwrite64", 20: "writev", 296: "pwritev", 328: "pwritev2", 40: "sendfile", 326: "copy_file_range",
    74: "fsync", 75: "fdatasync", 277: "sync_file_range", 76: "truncate", 77: "ftruncate", 285: "fallocate",
    82: "rename", 264: "renameat", 316: "renameat2", 86: "link", 265: "linkat", 87: "unlink", 263: "unlinkat",
    83: "mkdir", 258: "mkdirat", 84: "rmdir", 88: "symlink", 266: "symlinkat", 2: "open", 85: "creat", 257: "openat",
}  # fmt: skip
_BY_DESCRIPTOR: Final = {1, 18, 20, 296, 328, 74, 75, 277, 77, 285}
_OUT_DESCRIPTOR: Final = {40: 0, 326: 2}
_PATHS: Final = {
    76: (0,), 82: (0, 1), 86: (0, 1), 87: (0,), 83: (0,), 84: (0,), 88: (1,), 2: (0,), 85: (0,),
    264: (1, 3), 316: (1, 3), 265: (1, 3), 263: (1,), 258: (1,), 266: (2,), 257: (1,),
}  # fmt: skip
_OPENS: Final = {2: 1, 257: 2}  # which argument holds the flags
_CREATES: Final = os.O_CREAT | os.O_TRUNC

_LOAD, _EQUAL, _SET, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _NOTIFY = 0x7FFF0000, 0x7FC00000
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_CONTINUE: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One durable call: its name, the files it touches, and where its arguments are."""

    name: str
    number: int
    thread: int
    paths: tuple[str, ...]
    arguments: tuple[int, ...]

    def memory(self, address: int, length: int) -> bytes:
        """Bytes of the caller's memory."""
        with Path(f"/proc/{self.thread}/mem").open("rb", buffering=0) as memory:
            memory.seek(address)
            return memory.read(length)


@dataclass(frozen=True, slots=True)
class Fail:
    """Answer: the call returns this error and does nothing."""

    code: int


@dataclass(frozen=True, slots=True)
class Cut:
    """Answer for a write: only the first bytes are written, as a full disk or a signal may do."""

    share: float = 0.5


class Kill:
    """Answer: the whole process group ends before the call."""


Answer = Fail | Cut | Kill | None


def available() -> bool:
    """Whether this kernel and this sandbox let us stand at the gate."""
    if platform.machine() != "x86_64" or platform.system() != "Linux":
        return False
    try:
        return watch(lambda: Path("/proc/no").mkdir(), lambda _call: Fail(errno.ENOSPC), "/proc").status == 28
    except OSError:
        return False


@dataclass(slots=True)
class Watched:
    """How the child ended: exit status, or minus the signal; and how many durable calls it made."""

    status: int = 0
    calls: int = 0
    names: list[str] = field(default_factory=list)


def watch(work: Callable[[], Any], decide: Callable[[Call], Answer], folder: str) -> Watched:
    """Run `work` in a forked child whose durable calls below `folder` are decided one by one; OSError -> exit its errno."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        ours.close()
        os._exit(_child(work, theirs))
    theirs.close()
    try:
        _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
        if not descriptors:
            os.waitpid(child, 0)
            raise OSError(errno.ENOSYS, "seccomp notifications are not to be had here")
        return _supervise(child, descriptors[0], decide, folder)
    finally:
        ours.close()


def _child(work: Callable[[], Any], channel: socket.socket) -> int:
    os.setpgid(0, 0)
    listener = _install()
    if listener < 0:
        channel.send(b"-")
        return 1
    socket.send_fds(channel, [b"+"], [listener])
    os.close(listener)
    channel.close()
    try:
        return int(work() or 0)
    except OSError as error:
        return error.errno or 1
    except SystemExit as error:
        return int(error.code or 0)


def _install() -> int:
    rows: list[tuple[int, int, int, int]] = [(_LOAD, 0, 0, 0)]
    for number in CALLS:
        if number in _OPENS:
            low = 16 + 8 * _OPENS[number]
            rows += [(_EQUAL, 0, 4, number), (_LOAD, 0, 0, low), (_SET, 0, 1, _CREATES), (_RETURN, 0, 0, _NOTIFY)]
            rows += [(_RETURN, 0, 0, _ALLOW)]
        else:
            rows += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _NOTIFY)]
    rows.append((_RETURN, 0, 0, _ALLOW))
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *row) for row in rows))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(rows), ctypes.addressof(program)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) != 0:  # no new privileges: what an unprivileged filter needs
        return -1
    return int(libc.syscall(317, 1, 8, ctypes.byref(header)))  # SET_MODE_FILTER with NEW_LISTENER


def _supervise(child: int, listener: int, decide: Callable[[Call], Answer], folder: str) -> Watched:
    watched = Watched()
    ended = os.pidfd_open(child)
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    poll.register(ended, select.POLLIN)
    try:
        while True:
            ready = dict(poll.poll())
            if ready.get(listener, 0) & select.POLLIN:
                _answer(child, listener, decide, folder, watched)
            elif ended in ready:
                break
    finally:
        os.close(listener)
        os.close(ended)
        _end(child)
    _, code = os.waitpid(child, 0)
    watched.status = os.waitstatus_to_exitcode(code)
    return watched


def _answer(child: int, listener: int, decide: Callable[[Call], Answer], folder: str, watched: Watched) -> None:
    notice = bytearray(80)
    try:
        fcntl.ioctl(listener, _RECEIVE, notice)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.EINTR}:  # the caller was killed meanwhile
            return
        raise
    identity, thread, _, number, _, _, *arguments = struct.unpack("QIIiIQ6Q", notice)
    answer: Answer = None
    call = _call(thread, number, tuple(arguments), folder)
    if call is not None:
        watched.calls += 1
        watched.names.append(call.name)
        answer = decide(call)
    value, code, flags = 0, 0, _CONTINUE
    if isinstance(answer, Kill):
        _end(child)
        return
    if isinstance(answer, Fail):
        code, flags = -answer.code, 0
    elif isinstance(answer, Cut) and call is not None:
        value, flags = _cut(child, call, answer.share), 0
    try:
        fcntl.ioctl(listener, _SEND, struct.pack("QqiI", identity, value, code, flags))
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise


def _call(thread: int, number: int, arguments: tuple[int, ...], folder: str) -> Call | None:
    """The call, where it touches the folder; None where it does not."""
    try:
        if number in _BY_DESCRIPTOR or number in _OUT_DESCRIPTOR:
            descriptor = arguments[_OUT_DESCRIPTOR.get(number, 0)]
            paths = [str(Path(f"/proc/{thread}/fd/{descriptor}").readlink())]
        else:
            paths = [_path(thread, arguments, place) for place in _PATHS[number]]
    except OSError:
        return None
    inside = any(path == folder or path.startswith(f"{folder}/") for path in paths)
    if not inside:
        return None
    return Call(name=CALLS[number], number=number, thread=thread, paths=tuple(paths), arguments=arguments)


def _path(thread: int, arguments: tuple[int, ...], place: int) -> str:
    with Path(f"/proc/{thread}/mem").open("rb", buffering=0) as memory:
        memory.seek(arguments[place])
        text = b""
        while b"\0" not in text and len(text) < 4096:
            text += memory.read(min(256, 4096 - arguments[place] % 4096) or 256)
            memory.seek(arguments[place] + len(text))
    name = os.fsdecode(text.partition(b"\0")[0])
    if name.startswith("/"):
        return os.path.normpath(name)
    descriptor = ctypes.c_int(arguments[place - 1] & 0xFFFFFFFF).value if place else -100
    base = Path(f"/proc/{thread}/cwd" if descriptor == -100 else f"/proc/{thread}/fd/{descriptor}").readlink()
    return os.path.normpath(f"{base}/{name}")


def _cut(child: int, call: Call, share: float) -> int:
    """Write the first part of a write through the caller's own open file; returns how many bytes."""
    length = call.arguments[2]
    wanted = call.memory(call.arguments[1], max(1, int(length * share)))
    process = os.pidfd_open(child)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        same = libc.syscall(438, process, call.arguments[0], 0)  # pidfd_getfd: shares the file position
        if same < 0:
            raise OSError(ctypes.get_errno(), "pidfd_getfd")
        try:
            return os.pwrite(same, wanted, call.arguments[3]) if call.name == "pwrite64" else os.write(same, wanted)
        finally:
            os.close(same)
    finally:
        os.close(process)


def _end(child: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)


def kill_before(number: int) -> Callable[[Call], Answer]:
    """Kill before the number-th durable call (from 1)."""
    return _at(number, Kill())


def fail_at(number: int, code: int, *, once: bool = False) -> Callable[[Call], Answer]:
    """From the number-th durable call on that needs space or the device (once: only that one), fail with an error."""
    seen = 0

    def decide(call: Call) -> Answer:
        nonlocal seen
        if not needs_space(call):
            return None
        seen += 1
        return Fail(code) if (seen == number if once else seen >= number) else None

    return decide


def cut_at(number: int) -> Callable[[Call], Answer]:
    """The number-th write writes only half."""
    seen = 0

    def decide(call: Call) -> Answer:
        nonlocal seen
        if call.name not in {"write", "pwrite64"} or call.arguments[2] < 2:
            return None
        seen += 1
        return Cut() if seen == number else None

    return decide


def needs_space(call: Call) -> bool:
    """Whether a full disk may refuse the call; removing and cutting never needs space."""
    return call.name not in {"unlink", "unlinkat", "rmdir", "ftruncate", "truncate"}


def _at(number: int, answer: Answer) -> Callable[[Call], Answer]:
    seen = 0

    def decide(_call: Call) -> Answer:
        nonlocal seen
        seen += 1
        return answer if seen == number else None

    return decide


def real(path: Path) -> str:
    """A folder as the kernel names it."""
    return os.path.realpath(path)
