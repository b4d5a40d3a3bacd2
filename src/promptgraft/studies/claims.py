"""The claims of a paper, and whether they hold here."""

from collections.abc import Sequence
from dataclasses import dataclass

from promptgraft.studies.intervals import Mean
from promptgraft.studies.tables import Table


@dataclass(frozen=True)
class Claim:
    """A claim of a paper and the paired difference that decides about it, in points."""

    text: str
    difference: Mean

    @property
    def verdict(self) -> str:
        if self.difference.low > 0:
            return "holds"
        return "the opposite holds" if self.difference.high < 0 else "not shown"


def table_of(found: Sequence[Claim]) -> Table:
    """The claims with their verdicts."""
    rows = [[claim.text, str(claim.difference), claim.verdict] for claim in found]
    heads = ["claim", "difference in points", "verdict at this scale"]
    return Table("claims", "Which of the paper's claims hold", heads, rows)
