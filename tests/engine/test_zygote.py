"""Forks that fail for now are waited out, and what ended meanwhile is reaped."""

from __future__ import annotations

import errno
import os
import selectors
import socket
from collections.abc import Iterator

import pytest

from autograder.engine.control import Control
from autograder.engine.zygote import server
from autograder.engine.zygote.server import ZygoteServer


@pytest.fixture
def zygote() -> Iterator[ZygoteServer]:
    given = ZygoteServer.__new__(ZygoteServer)
    with selectors.DefaultSelector() as selector:
        given._selector = selector
        given._children = {}
        yield given


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM])
def test_a_fork_that_fails_for_now_is_tried_again(
    zygote: ZygoteServer, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Until a child that filled the table has been reaped."""
    ended = os.fork()
    if ended == 0:
        os._exit(0)
    pidfd = os.pidfd_open(ended)
    ours, its_end = socket.socketpair()
    zygote._children[pidfd] = (ended, Control(ours))
    zygote._selector.register(pidfd, selectors.EVENT_READ, None)

    def full() -> int:
        if zygote._children:
            raise OSError(number, "for now")
        return 4711

    monkeypatch.setattr(server.os, "fork", full)
    with ours, its_end:
        assert zygote._fork() == 4711
        assert Control(its_end).receive()["exit"] == ended


def test_any_other_failure_and_the_end_of_patience_are_raised(
    zygote: ZygoteServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> int:
        raise OSError(errno.ENOSYS, "no fork")

    monkeypatch.setattr(server.os, "fork", broken)
    with pytest.raises(OSError, match="no fork"):
        zygote._fork()

    def always() -> int:
        raise BlockingIOError(errno.EAGAIN, "for now")

    monkeypatch.setattr(server.os, "fork", always)
    monkeypatch.setattr(server, "FORK_SECONDS", 0.2)
    with pytest.raises(BlockingIOError):
        zygote._fork()
