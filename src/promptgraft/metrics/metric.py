"""What a metric is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Rows = NDArray[np.intp]  # indices of rows, repeats allowed

Texts = Sequence[str]
References = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Metric:
    """A function of predictions and references; call it to get the value over all rows.

    over(predictions, references) does the work that each row needs once and returns the value as
    a function of the rows that count, so that a bootstrap costs little more than one value.
    bootstrap is False where rows drawn twice would change what is measured, or a value takes long.
    lack() says what is missing to count it here, in words after "needs"; "" if nothing is.
    learned is True where a model has to be loaded.
    """

    over: Callable[[Texts, References], Callable[[Rows], float]]
    bootstrap: bool = True
    lack: Callable[[], str] = lambda: ""
    learned: bool = False

    def __call__(self, predictions: Texts, references: References) -> float:
        import numpy as np

        return self.over(predictions, references)(np.arange(len(predictions)))


def mean_of_rows(points: Callable[[Texts, References], Sequence[float]]) -> Metric:
    """A metric in per cent from one that gives every row between 0 and 1."""

    def over(predictions: Texts, references: References) -> Callable[[Rows], float]:
        import numpy as np

        values = np.asarray(points(predictions, references), dtype=float)
        return lambda rows: 100 * float(values[rows].mean())

    return Metric(over)
