"""What a prompt writes while it is tuned, to be read beside the references."""

from collections.abc import Callable
from typing import Any

from promptgraft import files
from promptgraft.api.config import TuneConfig
from promptgraft.api.job import Job

FILE = "samples.txt"  # in the run's folder


def with_samples(job: Job[Any], config: TuneConfig) -> Callable[[], float] | None:
    """The run's validation; for a task of texts it also writes samples.txt, which holds what the
    first validation rows give at the last evaluation (`TuneConfig.samples` of them)."""
    validate = job.validate
    if validate is None or job.task.kind != "generation" or not config.samples:
        return validate
    rows = job.task.subset("validation", config.samples, config.seed).rows("validation")
    path = config.folder() / FILE

    def validate_and_write() -> float:
        texts = job.model.generate(rows, job.module, job.template, **config.decoding)
        with files.whole_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
            for row, text in zip(rows, texts, strict=True):
                inputs = " | ".join(str(row[name]) for name in job.task.inputs)
                file.write(f"Input      {inputs}\nWritten    {text}\n")
                for reference in job.task.references(row):
                    file.write(f"Reference  {reference}\n")
                file.write("\n")
        return validate()

    return validate_and_write
