"""Tune a soft prompt on a small model and move it, without training, to a larger one.

python examples/tune_and_move.py [--steps 600]
"""

import argparse

import promptgraft as pg

options = argparse.ArgumentParser()
options.add_argument("--steps", type=int, default=600)
steps = options.parse_args().steps

small, large = pg.FrozenModel.load("mini/bert-s"), pg.FrozenModel.load("mini/bert-m")
task = pg.tasks.load("sst2").subset("test", 500, seed=0)

run = pg.tune(model=small, task=task, steps=steps, tag="example")
moved, name = pg.transfer(run.prompt, to=large, sources=small, tag="example")


def show(what: str, model: pg.FrozenModel, prompt: pg.Prompt | None) -> None:
    found = pg.evaluate(prompt, task, model=model)
    low, high = found.intervals["accuracy"]
    print(f"{found.scores['accuracy']:5.1f} ({low:.1f} to {high:.1f})  {what}")


show("small model, no prompt", small, None)
show("small model, tuned prompt", small, run.prompt)
show("large model, no prompt", large, None)
show("large model, the same prompt moved", large, moved)

print(f"Kept as {run.name} and {name}. What the first virtual tokens are near to there:")
for near in pg.nearest_tokens(moved, count=4, model=large)[:3]:
    print("  " + ", ".join(f"{word} {cosine:.2f}" for word, cosine in near))
