"""Tests talk to this machine alone, and what sees to that does not disturb the threads of the code under test."""

import asyncio
import socket
from pathlib import Path

import pytest

HERE = Path(__file__)
ELSEWHERE = ("203.0.113.7", 443)  # TEST-NET-3, RFC 5737: an address nobody has


@pytest.mark.parametrize("way", ["connect", "connect_ex"])
def test_no_connection_to_another_machine(way):
    with socket.socket() as opened, pytest.raises(PermissionError, match=r"tried to connect to 203\.0\.113\.7"):
        getattr(opened, way)(ELSEWHERE)


@pytest.mark.parametrize("host", ["api.example.invalid", b"api.example.invalid"])
def test_no_question_for_another_machines_address(host):
    with pytest.raises(PermissionError, match=r"asked for the address of api\.example\.invalid"):
        socket.getaddrinfo(host, 443)


def test_an_event_loop_stays_as_well():
    with pytest.raises(PermissionError, match=r"tried to connect to 203\.0\.113\.7"):
        asyncio.run(asyncio.open_connection(*ELSEWHERE))


def test_home_answers():
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
    assert socket.getaddrinfo("localhost", 80)


def test_no_test_process_has_an_audit_hook():
    """Under one, a thread that coverage follows may die before its first line: see support/home.py."""
    calls = "addaudit" + "hook("
    assert [file.name for file in HERE.parent.rglob("*.py") if calls in file.read_text(encoding="utf-8")] == []
