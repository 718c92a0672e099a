"""Text from an agent, made safe to put on a terminal: `handrail.clean`, which pages use as well."""

from __future__ import annotations

from handrail.clean import clean, one_line, reveal, split_open

__all__ = ["clean", "one_line", "reveal", "split_open"]
