"""SIGTERM and Ctrl-C during training: the loop saves between two steps, and stops."""

import signal
import threading
from contextlib import contextmanager


class Termination:
    """SIGTERM and Ctrl-C in a program: training saves and stops, anything else stops at once.

    `number` is the signal that came, or 0. In the middle of a step there is nothing to save, so
    a loop that trains looks at `number` between its steps. A second signal does not wait.
    """

    number = 0
    training = False

    def __init__(self):
        self.before: dict = {}  # the handlers that the program had

    @property
    def status(self) -> int:
        """The exit status that shells and Kubernetes expect: 143 for SIGTERM, 130 for Ctrl-C."""
        return 128 + (self.number or signal.SIGINT)

    def handle(self, number, frame):
        """Handles the signal: notes its number, and stops at once what does not train."""
        wait = self.training and not self.number
        self.number = number
        if not wait:
            raise KeyboardInterrupt

    @contextmanager
    def handled(self):
        """Installs the handler, in the main thread, for as long as the program's work lasts."""
        self.number = 0
        self.before = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self.before[number] = signal.signal(number, self.handle)
        try:
            yield
        finally:
            for number, handler in self.before.items():
                signal.signal(number, handler)
            self.number, self.before = 0, {}

    def handle_again(self):
        """Puts the handler back: TensorFlow's service for clusters takes SIGTERM for itself."""
        for number in self.before:
            signal.signal(number, self.handle)

    @contextmanager
    def waits(self):
        """Lets a signal wait while a loop trains, which looks at `number` between its steps."""
        self.training = True
        try:
            yield
        finally:
            self.training = False
        if self.number:  # after the last look
            raise KeyboardInterrupt


termination = Termination()
