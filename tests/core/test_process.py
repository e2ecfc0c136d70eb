"""Programs and forked processes end when they should."""

import multiprocessing
import os
import signal
import time

from longwriter.core.process import ended_by_sigterm


def test_forked_processes_end_by_sigterm_whatever_this_one_does_on_it() -> None:
    asked: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
    try:
        with ended_by_sigterm():
            child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
            child.start()
        os.kill(os.getpid(), signal.SIGTERM)
        child.terminate()
        child.join(10)
        assert child.exitcode == -signal.SIGTERM
        assert asked == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)
