"""Patience with a machine, or a user, that has no process or no memory left for a while."""

import errno
import time

SHORT = (errno.EAGAIN, errno.ENOMEM)
SECONDS = 60.0


def retry(action):
    """Returns what an action gives; while processes or memory are short, it is tried again.

    Raises:
        OSError: of another kind, or still after a minute.
    """
    ends, pause = time.monotonic() + SECONDS, 0.01
    while True:
        try:
            return action()
        except OSError as error:
            if error.errno not in SHORT or time.monotonic() > ends:
                raise
        time.sleep(pause)
        pause = min(2 * pause, 0.5)
