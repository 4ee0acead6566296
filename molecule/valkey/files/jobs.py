"""Two jobs as an application has them, one for Celery and one for RQ: python jobs.py celery|rq puts one and prints its result."""

from __future__ import annotations

import os
import sys
import time

from celery import Celery
from redis import Redis
from rq import Queue

URL = os.environ["REDIS_URL"]
CELERY_URL = URL.replace("unix://", "redis+socket://")
app = Celery("jobs", broker=CELERY_URL, backend=CELERY_URL)


@app.task
def double(number: int) -> int:
    """Return twice a number, made by a worker of Celery."""
    return 2 * number


def triple(number: int) -> int:
    """Return three times a number, made by a worker of RQ."""
    return 3 * number


if __name__ == "__main__":
    if sys.argv[1] == "celery":
        print(double.delay(21).get(timeout=60))
    else:
        job = Queue(connection=Redis.from_url(URL)).enqueue("jobs.triple", 14)
        while job.get_status() not in ("finished", "failed"):
            time.sleep(0.1)  # between two looks; the test has a deadline
        print(job.return_value())
