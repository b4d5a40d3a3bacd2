"""A lock that is given out in the order in which it was asked for."""

import threading
from collections import deque


class Turns:
    """Whoever runs the model holds it: `with turns: ...`

    An ordinary lock goes to whoever is awake: a loop that takes it again at once keeps all others
    waiting.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._taken = False

    def __enter__(self) -> None:
        with self._guard:
            if not self._taken:
                self._taken = True
                return
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        turn.acquire()  # until it is released by the one before

    def __exit__(self, *_: object) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False
