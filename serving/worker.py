"""gunicorn's threaded worker, with an end that breaks off nothing that it has accepted."""

from __future__ import annotations

import sys

from gunicorn.workers.gthread import ThreadWorker

HURRY_SECONDS = 1e-5


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Stops listening as soon as it is told to end.

    gunicorn's own worker leaves its listening socket open while it answers what is under way and waits for connections
    that are kept alive: the kernel goes on to take connections, which nobody accepts any more, and resets them in the
    end. This one accepts what is waiting, answers it, and lets go of the socket at once. Where other workers live on,
    they take the next client. From the last worker's on, a client is refused, before it has sent anything, and can turn
    to another instance.

    Every connection that was accepted is answered. Lost is what lies between: a connection that the kernel completes
    after the last worker found none waiting, and before it has closed the socket some ten microseconds later. Its
    client gets a reset instead of the first answer. A socket cannot be told to refuse what comes while it still gives
    what waits, so this time is as short as can be, but not nothing.
    """

    def set_accept_enabled(self, enabled: bool) -> None:
        super().set_accept_enabled(enabled)
        if not self.alive and not enabled:
            usual = sys.getswitchinterval()
            # Threads that answer hold the interpreter's lock for 5 ms at a time: too long between last look and close.
            sys.setswitchinterval(HURRY_SECONDS)
            for listener in self.sockets:
                listener.setblocking(False)
                self._take_all(listener)
                listener.close()
            sys.setswitchinterval(usual)

    def _take_all(self, listener: object) -> None:
        before = -1
        while before != self.nr_conns:
            before = self.nr_conns
            self.accept(listener)  # counts what it takes; where nothing waits it just returns
