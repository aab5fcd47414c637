"""A contender for the tests of `bench.peers.remote`: counts its calls from the job's `start`, and its processors."""

import os


def contender(job):
    count = int(job["start"])

    def call():
        nonlocal count
        print("what a library prints does not disturb the answers")
        count += 1
        return count if "processors" not in job else len(os.sched_getaffinity(0))

    return call
