"""Points in time: only what says its offset from UTC names one."""

from __future__ import annotations

from datetime import datetime


def moment_with_offset(value: object) -> datetime | None:
    """A time in ISO 8601 with its UTC offset, or a datetime with one; None for anything else."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return None
    return moment if isinstance(moment, datetime) and moment.utcoffset() is not None else None
