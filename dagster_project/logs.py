"""What a person sees of a run in a terminal: one short line for each thing that an asset says."""

from __future__ import annotations

import logging
import sys

import dagster as dg


class _Short(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        meta = getattr(record, "dagster_meta", None) or {}
        step, said = meta.get("step_key"), meta.get("orig_message") or record.getMessage()
        line = f"{self.formatTime(record, '%H:%M:%S')}  {step + ': ' if step else ''}{said}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _console(_: dg.InitLoggerContext) -> logging.Logger:
    logger = logging.Logger("topshelf", logging.INFO)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Short())
    logger.addHandler(handler)
    return logger


console = dg.LoggerDefinition(_console, description="Progress of assets on standard error, in short lines.")
