"""Alerts: what an operator must hear of, posted to a webhook."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from conf.errors import PermanentError, RetryableError
from conf.settings import Settings

TIMEOUT_SECONDS = 5.0
MAX_TEXT = 2000


@dataclass(frozen=True)
class Alert:
    """kind: run_failed, hour_late, gate_failed, ranker_replaced, rollout or rollback; text: for a person; details: for
    a program."""

    kind: str
    text: str
    details: Mapping[str, object] = field(default_factory=dict)

    def body(self) -> bytes:
        return json.dumps({"kind": self.kind, "text": self.text[:MAX_TEXT], "details": dict(self.details)}).encode()


def send(settings: Settings, alert: Alert) -> bool:
    """Post an alert to alerts.webhook; False where none is set.

    Raises:
        PermanentError: the webhook refuses it.
        RetryableError: it cannot be reached, or does not answer.
    """
    if settings.alerts.webhook is None:
        return False
    request = Request(  # noqa: S310  # a setting that takes http and https alone
        str(settings.alerts.webhook), alert.body(), {"Content-Type": "application/json"}, method="POST"
    )
    try:
        with urlopen(request, timeout=TIMEOUT_SECONDS):  # noqa: S310  # as above
            return True
    except HTTPError as error:
        kind = RetryableError if error.code >= 500 or error.code == 429 else PermanentError
        raise kind(f"alerts.webhook answered {error.code} to an alert: {alert.text[:200]}") from error
    except (URLError, OSError) as error:
        raise RetryableError(f"alerts.webhook cannot be reached ({error}) with an alert: {alert.text[:200]}") from error
