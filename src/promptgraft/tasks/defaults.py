"""Templates and metrics of a task that names none.

The templates say nothing about the task: what is asked is for the prompt to say.
"""

from __future__ import annotations

from promptgraft.tasks.schema import Schema

METRICS = {
    "classification": ("accuracy",),
    "regression": ("pearson", "spearman"),
    "generation": ("bleu", "rougeL"),
    "cloze": ("accuracy",),
}


def templates(schema: Schema) -> dict[str, str]:
    """Family -> template; masked models get none for texts of more than a word or two.

    The cloze template is OptiPrompt's (Zhong, Friedman, Chen 2021): five vectors between the
    subject and the mask.
    """
    if schema.kind == "cloze":
        start = "{sub_label} {prompt:5}"
        return {"causal": start, "seq2seq": start, "masked": f"{start} {{mask}} ."}
    text = " | ".join(f"{{{name}}}" for name in schema.inputs)
    writing = {"causal": f"{{prompt}} {text} =>", "seq2seq": f"{{prompt}} {text}"}
    if schema.kind == "classification":
        return {**writing, "masked": f"{{prompt}} {text} {{mask}} ."}
    return writing
