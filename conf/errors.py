"""The two kinds of failure: those a retry can heal, and those it cannot."""


class TopshelfError(Exception):
    """Base of every error this project raises on purpose. Its text is meant for a person."""


class PermanentError(TopshelfError):
    """Trying again changes nothing: the input, the settings or the data have to change."""


class RetryableError(TopshelfError):
    """Something outside was busy or away; the same call may succeed later."""


class ConfigError(PermanentError):
    """A setting is missing or wrong. The text names the key and how to set it."""


class DataError(PermanentError):
    """Data breaks its contract. The text names the table or file, and the column or row."""
