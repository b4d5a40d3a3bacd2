"""A library: find, compare, tag, shrink and share prompts; and PEFT's folders, in and out.

python examples/library_and_peft.py [--steps 200]
"""

import argparse
import tempfile
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

import promptgraft as pg
from promptgraft import minis

options = argparse.ArgumentParser()
options.add_argument("--steps", type=int, default=200)
steps = options.parse_args().steps
place = Path(tempfile.mkdtemp())

library = pg.Library(place / "library")
model = pg.FrozenModel.load("mini/gpt2-m", dtype="float32")
for length in (5, 10):
    pg.tune(
        model=model, task="e2e", length=length, steps=steps, test_rows=1, tag=f"p{length}",
        library=library, out=place / f"run{length}",
    )  # fmt: skip
library.tag("e2e@mini/gpt2-m:p10", "kept")
for entry in library.list("e2e@*", where="length>=10"):
    print(entry.name, entry.card.length, entry.card.method)
print("the same numbers:", [sorted(names) for names in library.duplicates()])
print("most alike:", library.similar("e2e@mini/gpt2-m:p5", count=1)[0].name)

small = pg.Library(place / "small")
for packed in pg.pack("*:kept", "int8", small, library=library):
    print(f"{packed.name} in {packed.bytes:,} bytes, {packed.relative:.2%} off")

adapter = pg.export("e2e@mini/gpt2-m:kept", place / "adapter", model=model, library=library)
plain = AutoModelForCausalLM.from_pretrained(minis.folder("mini/gpt2-m"), dtype=torch.float32)
theirs = PeftModel.from_pretrained(plain, adapter).eval()
table = "name : Aromi | food : Italian"
tokens = model.tokenizer(f"{table} =>", return_tensors="pt")  # as our template ends
ids = theirs.generate(**tokens, max_new_tokens=12, do_sample=False)
text = model.tokenizer.decode(ids[0, tokens.input_ids.shape[1] :], skip_special_tokens=True)
ours = model.generate([table], library.get("e2e@mini/gpt2-m:kept"), max_new_tokens=12)
print("PEFT writes the same:", text.strip() == ours[0])

name, _ = pg.import_peft(adapter, model=model, task="e2e", tag="back", library=library)
print("and back:", library.get(name).vectors.equal(library.get("e2e@mini/gpt2-m:kept").vectors))
print("page:", pg.write_report(library.path, place / "library.html"))
