"""Eight examples of each label, and what a library knows about other tasks.

python examples/few_examples.py [--steps 300]
"""

import argparse
from pathlib import Path

import promptgraft as pg

options = argparse.ArgumentParser()
options.add_argument("--steps", type=int, default=300)
steps = options.parse_args().steps

model = pg.FrozenModel.load("mini/bert-s")
reviews = pg.tasks.load(
    Path(__file__).with_name("reviews.csv"),
    text="review",
    label="stars",
    verbalizer={1: "bad", 5: "good"},
)

# The library's source prompts, each tuned on a task with many examples.
pool = [
    pg.tune(model=model, task=task, steps=steps, test_rows=50, tag="source").name
    for task in ("sst2", "agnews")
]
print("Loss of the few rows under each, untuned:")
for found in pg.recommend(reviews, model, pool, few_shot=8):
    print(f"  {found.loss:.3f}  {found.name}")

common = {"model": model, "task": reviews, "few_shot": 8, "steps": steps // 3}
methods = {
    "soft-prompt": {},
    "spot": {"pool": pool, "transfer": {"probe_steps": steps // 3}},
    "crosspt": {"pool": pool},
}
for method, borrowing in methods.items():
    scores = []
    for seed in (0, 1, 2):  # one draw of eight rows says little
        tag = f"{method}-{seed}"
        run = pg.tune(
            **common, **borrowing, method=method, seed=seed, tag=tag, out=Path("runs", tag)
        )
        scores.append(run.evaluation.scores["accuracy"])
    print(f"{method:12}", *(f"{score:5.1f}" for score in scores), " accuracy by seed")

shares = pg.explain("reviews@mini/bert-s:crosspt-0").shares
print("Borrowed:", ", ".join(f"{100 * share:.0f} % {name}" for name, share in shares.items()))
