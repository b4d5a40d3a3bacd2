"""The lock goes to who asked first, also against a loop that takes it again at once."""

import threading
import time

from promptgraft.serving.turns import Turns

VISITORS = 20


def test_a_busy_loop_lets_everybody_in():
    turns, done = Turns(), threading.Event()
    rounds, waited = [0], []

    def loop():
        while not done.is_set():
            with turns:
                rounds[0] += 1
                time.sleep(0.005)

    def visit():
        before = rounds[0]
        with turns:
            waited.append(rounds[0] - before)

    busy = threading.Thread(target=loop)
    busy.start()
    for _ in range(VISITORS):
        visit()
    done.set()
    busy.join()
    assert len(waited) == VISITORS
    assert max(waited) <= 2  # the round that was under way, and one that began meanwhile


def test_one_at_a_time_in_the_order_of_asking():
    turns, order, inside = Turns(), [], [0]

    def visit(number):
        with turns:
            inside[0] += 1
            assert inside[0] == 1
            order.append(number)
            inside[0] -= 1

    threads = [threading.Thread(target=visit, args=(number,)) for number in range(10)]
    with turns:
        for number, thread in enumerate(threads):
            thread.start()
            while len(turns._waiting) <= number:
                time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert order == list(range(10))
