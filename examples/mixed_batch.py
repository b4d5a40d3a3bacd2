"""One model, one batch, a prompt of its own for every row; then rows that come and go.

python examples/mixed_batch.py [--steps 200]
"""

import argparse

import promptgraft as pg

options = argparse.ArgumentParser()
options.add_argument("--steps", type=int, default=200)
steps = options.parse_args().steps

# Four customers of one masked model: two tasks, two lengths, soft prompts and a prefix.
model = pg.FrozenModel.load("mini/bert-s", dtype="float32")
common = {"model": model, "steps": steps, "test_rows": 50}
prompts = {
    "film reviews, 5 tokens": pg.tune(**common, task="sst2", length=5, tag="short").prompt,
    "film reviews, 20 tokens": pg.tune(**common, task="sst2", length=20, tag="long").prompt,
    "film reviews, a prefix": pg.tune(**common, task="sst2", method="prefix", tag="deep").prompt,
    "news": pg.tune(**common, task="agnews", tag="news").prompt,
}
text = {"text": "the team won the final after a great second half ."}
choices = ["negative", "positive", "sports", "business"]
together = model.choice_scores([text] * len(prompts), choices, list(prompts.values()))
for number, (who, prompt) in enumerate(prompts.items()):
    alone = model.choice_scores([text], choices, prompt)[0]
    same = bool((together[number] - alone).abs().max() < 1e-3)
    best = choices[int(together[number].argmax())]
    print(f"{who:24} {best:9} {'as if alone' if same else 'NOT as if alone'}")

# The engine behind `promptgraft serve`: requests join and leave at every token.
writer = pg.FrozenModel.load("mini/gpt2-m")
tables = pg.tune(model=writer, task="e2e", method="prefix", steps=steps, test_rows=1, tag="mixed")
engine = pg.Engine(writer, pg.Library(), rows=2)
sources = ["name : Aromi | food : Italian", "name : Cotto | area : riverside", "name : The Mill"]
tickets = [
    engine.submit(pg.Request(source=source, prompt=prompt, max_new_tokens=24))
    for source in sources
    for prompt in (tables.name, None)
]
engine.run_until_done()
for ticket in tickets:
    print(f"{ticket.request.prompt or 'no prompt'}: {ticket.text()}")
