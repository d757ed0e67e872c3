"""Buckets for lakes and artefacts: an S3 server in a process of its own, since delta-rs holds the interpreter while it asks."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from remotes import make_bucket, s3_variables

SECRET = s3_variables("")["AWS_SECRET_ACCESS_KEY"]
_NUMBERS = count()


@contextmanager
def s3_process() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Its URL and the process; gone at the end."""
    script = Path(__file__).with_name("s3_server.py")
    process = subprocess.Popen(
        [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    try:
        yield process.stdout.readline().strip(), process
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


@contextmanager
def s3_server() -> Iterator[str]:
    """Its URL; gone at the end."""
    with s3_process() as (url, _):
        yield url


@pytest.fixture(scope="session")
def s3_apart_process() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    with s3_process() as served:
        yield served


@pytest.fixture(scope="session")
def s3_apart(s3_apart_process) -> str:
    return s3_apart_process[0]


@pytest.fixture
def conflict_at(s3_apart_process) -> Callable[[str], None]:
    """Makes the next write to a path that holds this text meet a conflict, which says nothing about what stands there."""

    def conflict(part: str) -> None:
        process = s3_apart_process[1]
        process.stdin.write(f"{part}\n")
        process.stdin.flush()
        assert process.stdout.readline() == "ready\n"

    return conflict


@pytest.fixture
def lake_bucket(s3_apart, monkeypatch) -> str:
    """A fresh bucket's URL with a prefix, and the environment of its user."""
    for name, value in s3_variables(s3_apart).items():
        monkeypatch.setenv(name, value)
    name = f"lake-{next(_NUMBERS)}"
    make_bucket(s3_apart, name)
    return f"s3://{name}/some/prefix"
