"""gunicorn's threaded worker, with an end that resets nobody."""

from __future__ import annotations

from gunicorn.workers.gthread import ThreadWorker


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Stops listening as soon as it is told to end.

    gunicorn's own worker leaves its listening socket open while it answers what is under way and waits for connections
    that are kept alive: the kernel goes on to take connections, which nobody accepts any more, and resets them in the
    end. This one accepts what is waiting, answers it, and lets go of the socket at once. From the last worker's on, a
    client is refused, before it has sent anything, and can turn to another instance; where other workers live on, they
    take it.
    """

    def set_accept_enabled(self, enabled: bool) -> None:
        super().set_accept_enabled(enabled)
        if not self.alive and not enabled:
            for listener in self.sockets:
                listener.setblocking(False)
                self._take_all(listener)
                listener.close()

    def _take_all(self, listener: object) -> None:
        before = -1
        while before != self.nr_conns:
            before = self.nr_conns
            self.accept(listener)  # counts what it takes; where nothing waits it just returns
