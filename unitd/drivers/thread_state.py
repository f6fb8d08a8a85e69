"""Python's state of a foreign thread, kept from one callback to the next.

A library's thread that calls Python gets a new state each time, and gives it back (PEP 311; in CPython 3.11 that maps
and unmaps 16 KB): 25 us for each of a sound card's hundred callbacks a second.
"""

import ctypes
import threading

LET_GO_S = 0.1


class ThreadState:
    """Of one thread. `keep` is called in every callback, on that thread; `let_go` by who is about to end the thread,
    on another."""

    def __init__(self) -> None:
        self._held: int | None = None
        self._ending = False
        self._gone = threading.Event()

    def keep(self) -> None:
        """Hold on to this thread's state; or give it back, after `let_go`. Does not block."""
        if self._held is None and not self._ending:
            self._held = ctypes.pythonapi.PyGILState_Ensure()
        elif self._held is not None and self._ending:
            ctypes.pythonapi.PyGILState_Release(self._held)
            self._held = None
            self._gone.set()

    def let_go(self) -> None:
        """Let the next callback give it back, and wait for that; LET_GO_S at most. A thread that calls no more leaves
        some KB behind."""
        self._ending = True
        if self._held is not None:
            self._gone.wait(LET_GO_S)
