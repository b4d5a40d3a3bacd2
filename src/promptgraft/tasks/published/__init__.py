"""Published data sets in their official files: a reader for each, by the task's name."""

from promptgraft.errors import ConfigError, did_you_mean
from promptgraft.tasks.published import dialogue, rewriting, summaries, tables
from promptgraft.tasks.published.form import Form

FORMS = {
    "e2e": tables.e2e,
    "webnlg": tables.webnlg,
    "dart": tables.dart,
    "xsum": summaries.xsum,
    "cnn_dailymail": summaries.cnn_dailymail,
    "multi_news": summaries.multi_news,
    "msnews": summaries.msnews,
    "gigaword": summaries.gigaword,
    "newsroom": summaries.newsroom,
    "newsroom_headline": summaries.newsroom_headline,
    "squad_qg": rewriting.squad_qg,
    "quora_paraphrase": rewriting.quora_paraphrase,
    "wnc": rewriting.wnc,
    "writingprompts": rewriting.writingprompts,
    "personachat": dialogue.personachat,
    "dailydialog": dialogue.dailydialog,
    "topical_chat": dialogue.topical_chat,
    "avsd": dialogue.avsd,
    "multiwoz": dialogue.multiwoz,
}


def get(name: str) -> Form:
    """The form of a data set. Raises ConfigError for an unknown name."""
    if name not in FORMS:
        raise ConfigError(
            f"There is no format {name!r}; there are {', '.join(FORMS)}."
            + did_you_mean(name, FORMS)
        )
    return FORMS[name]


__all__ = ["FORMS", "Form", "get"]
