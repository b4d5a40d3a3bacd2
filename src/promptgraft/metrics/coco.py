"""METEOR 1.5, ROUGE-L and CIDEr as the COCO caption evaluation counts them, and with it the E2E
challenge's script: through pycocoevalcap, whose tokeniser and METEOR are Java programs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from functools import cache, lru_cache, partial
from importlib.util import find_spec
from threading import Lock
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from promptgraft.errors import PromptgraftError
from promptgraft.metrics.metric import Metric, References, Texts

if TYPE_CHECKING:
    from promptgraft.metrics.metric import Rows

Captions = dict[int, list[str]]


def _lack() -> str:
    if find_spec("pycocoevalcap") is None:
        return "the package pycocoevalcap: pip install 'promptgraft[metrics]'"
    if shutil.which("java") is None:
        return "Java, which runs its tokeniser and METEOR: install a JRE, version 8 or newer"
    return ""


def _tokenised(predictions: Texts, references: References) -> tuple[Captions, Captions]:
    return _in_one_go(tuple(predictions), tuple(map(tuple, references)))


@lru_cache(maxsize=1)  # for the metrics of one evaluation: each start of the program takes a second
def _in_one_go(
    predictions: tuple[str, ...], references: tuple[tuple[str, ...], ...]
) -> tuple[Captions, Captions]:
    from pycocoevalcap.tokenizer import ptbtokenizer

    rows = [*references, *((text,) for text in predictions)]
    captions = {
        n: [{"caption": " ".join(text.splitlines())} for text in row] for n, row in enumerate(rows)
    }
    quiet = partial(subprocess.Popen, stderr=subprocess.DEVNULL)  # it tells its speed
    ptbtokenizer.subprocess = SimpleNamespace(Popen=quiet, PIPE=subprocess.PIPE)
    found: Captions = ptbtokenizer.PTBTokenizer().tokenize(captions)
    if [len(found.get(n, [])) for n in captions] != [len(row) for row in rows]:
        raise PromptgraftError(
            "Java's tokeniser, which METEOR, ROUGE-L and CIDEr need, failed: is `java` in order?"
        )
    count = len(references)
    written = {n: found[count + n] for n in range(len(predictions))}
    return {n: found[n] for n in range(count)}, written


def _mean_of_scores(make: Callable[[], Any], factor: float) -> Metric:
    def over(predictions: Texts, references: References) -> Callable[[Rows], float]:
        import numpy as np

        _, scores = make().compute_score(*_tokenised(predictions, references))
        values = np.asarray(scores, dtype=float)
        return lambda rows: factor * float(values[rows].mean())

    return Metric(over, lack=_lack)


def _meteor(predictions: Texts, references: References) -> Callable[[Rows], float]:
    """The corpus value is made of sums over rows, not of the rows' values."""
    expected, written = _tokenised(predictions, references)

    def at(rows: Rows) -> float:
        chosen, program = list(enumerate(rows)), _program()
        try:
            score, _ = program.compute_score(
                {number: expected[row] for number, row in chosen},
                {number: written[row] for number, row in chosen},
            )
        except BaseException:  # it may be dead, or in the middle of its answers
            program.lock = Lock()  # the old one is held, and would be waited for when it is freed
            _program.cache_clear()
            raise
        return 100 * float(score)

    return at


@cache
def _program() -> Any:
    """METEOR's, one for all that is scored: it takes seconds to read its tables."""
    from pycocoevalcap.meteor.meteor import Meteor

    return Meteor()


def _rouge() -> Any:
    from pycocoevalcap.rouge.rouge import Rouge

    return Rouge()


def _cider() -> Any:
    from pycocoevalcap.cider.cider import Cider

    return Cider()


meteor = Metric(_meteor, bootstrap=False, lack=_lack)
"""METEOR 1.5 for English with its default settings, 0 to 100."""

coco_rouge_l = _mean_of_scores(_rouge, 100)
"""Mean ROUGE-L F with recall weighted by 1.2 squared; best precision and best recall over the
references, 0 to 100."""

cider = _mean_of_scores(_cider, 1)
"""CIDEr-D, 0 to 10, on the scale that papers print. How rare an n-gram is depends on all
references; over some rows these weights stay those of all."""
