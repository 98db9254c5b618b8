"""One call of DynamoDB's protocol without botocore's way there: for the look-up that a user waits for.

For each call botocore works out the endpoint by rules, tells dozens of hooks, and walks the service's model for the
request and again for the answer; that takes longer than the call itself. Its credentials, signature, connections and
errors are used here as they are.
"""

from __future__ import annotations

import json
import socket
import zlib
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ChecksumError, ClientError, NoCredentialsError
from botocore.httpsession import URLLib3Session
from botocore.session import Session
from botocore.utils import get_environ_proxies

from stores.base import Timeouts

_CONTENT_TYPE = "application/x-amz-json-1.0"
_VERSION = "DynamoDB_20120810"


class NotDynamo(Exception):
    """What answers does not speak DynamoDB's protocol."""


class Wire:
    """Signed calls to one endpoint, over connections that are kept open. Thread-safe; not to be used across a fork."""

    def __init__(self, session: Session, url: str, region: str, timeouts: Timeouts, pool: int, local: bool) -> None:
        """local: a server of this machine, to which no proxy leads."""
        self._url = url
        self._region = region
        self._credentials = session.get_credentials()
        self._http = URLLib3Session(
            verify=session.get_config_variable("ca_bundle") or True,
            proxies={} if local else get_environ_proxies(url),
            timeout=(timeouts.connect, timeouts.read),
            max_pool_connections=pool,
            # Head and body go out apart: without NODELAY the body would wait for the head's acknowledgement.
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)],
        )

    def call(self, operation: str, body: bytes) -> dict[str, Any]:
        """One try of an operation by DynamoDB's name for it. body, and what is returned, are DynamoDB's own JSON.

        Raises:
            BotoCoreError: no credentials, or no whole answer in time.
            ClientError: the answer is an error.
            NotDynamo: see there.
        """
        if self._credentials is None:
            raise NoCredentialsError
        headers = {
            "X-Amz-Target": f"{_VERSION}.{operation}",
            "Content-Type": _CONTENT_TYPE,
            "Accept-Encoding": "identity",  # the checksum is that of the bytes as they come
        }
        request = AWSRequest("POST", self._url, headers=headers, data=body)
        SigV4Auth(self._credentials.get_frozen_credentials(), "dynamodb", self._region).add_auth(request)
        response = self._http.send(request.prepare())
        content = response.content
        expected = response.headers.get("x-amz-crc32")
        if expected is not None and int(expected) != zlib.crc32(content):
            raise ChecksumError(checksum_type="crc32", expected_checksum=expected, actual_checksum=zlib.crc32(content))
        answer = (
            _parsed(content) if response.headers.get("content-type", "").startswith("application/x-amz-json") else None
        )
        if response.status_code != 200:
            raise _error(response.status_code, answer or {}, operation)
        if answer is None:
            raise NotDynamo
        return answer

    def close(self) -> None:
        self._http.close()


def _parsed(content: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(content)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _error(status: int, answer: dict[str, Any], operation: str) -> ClientError:
    code = str(answer.get("__type", status)).rpartition("#")[2]
    reason = str(answer.get("message") or answer.get("Message") or "")
    described: Any = {"Error": {"Code": code, "Message": reason}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(described, operation)
