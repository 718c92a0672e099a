"""What a benchmark returns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value; `bare` is the baseline of the same run where there is one, `target` what the issue asks."""

    name: str
    value: float
    unit: str
    bare: float | None = None
    target: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times the baseline."""
        return self.value / self.bare if self.bare else None

    def line(self) -> str:
        """`name value unit bare ratio`, a dash for what there is not."""
        bare = "-" if self.bare is None else f"{self.bare:.4g}"
        ratio = "-" if self.ratio is None else f"{self.ratio:.3g}"
        return f"{self.name} {self.value:.4g} {self.unit} {bare} {ratio}"
