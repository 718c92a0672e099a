"""A fault of Handrail itself: its traceback goes into a file, and one sentence to the person."""

from __future__ import annotations

import os
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path

from handrail import __version__
from handrail.config import data_directory


def told(error: Exception) -> str:
    """Keep the traceback in a file of the data directory, or else of the system; returns the sentence about it."""
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    text = "".join(traceback.format_exception(error))
    for folder in (data_directory(os.environ) / "logs", Path(tempfile.gettempdir())):
        file = folder / f"handrail-crash-{moment}-{os.getpid()}.txt"
        try:
            file.write_text(f"handrail {__version__}\n{text}", "utf-8", errors="replace")
        except OSError:
            continue
        return f"this is a fault of Handrail ({type(error).__name__}); what happened is in {file}"
    return f"this is a fault of Handrail: {error!r}"
