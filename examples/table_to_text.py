"""A prefix that turns tables into sentences: data of one's own, tuned, judged, used.

python examples/table_to_text.py [--steps 400]
"""

import argparse
import json
from pathlib import Path

import promptgraft as pg

options = argparse.ArgumentParser()
options.add_argument("--steps", type=int, default=400)
steps = options.parse_args().steps

# Any file with the columns `source` and `target`; here one is made from the package's sample.
folder = Path("tables")
folder.mkdir(exist_ok=True)
sample = pg.tasks.load("e2e")
for split in ("train", "validation", "test"):
    rows = sample.rows(split)[:2000]
    lines = (json.dumps({"source": row["source"], "target": row["target"]}) for row in rows)
    (folder / f"{split}.jsonl").write_text("\n".join(lines))

model = pg.FrozenModel.load("mini/gpt2-m")
tables = pg.tasks.load(folder).subset("test", 60, seed=0)
run = pg.tune(model=model, task=tables, method="prefix", length=10, steps=steps)

beams = {"num_beams": 5, "no_repeat_ngram_size": 4}
for what, prompt in (("no prompt", None), ("prefix", run.prompt)):
    found = pg.evaluate(prompt, tables, model=model, **beams)
    print(what, {name: round(score, 1) for name, score in found.scores.items()})

table = "name : Cotto | Type : pub | food : Italian | area : riverside"
print(pg.generate(run.name, [table], model=model, **beams)[0])
print(f"Kept as {run.name}; curves and samples in {run.folder}")
