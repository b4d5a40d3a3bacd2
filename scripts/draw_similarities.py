"""What decides each similarity of prompts: the norms of their vectors, or where these point?

    .venv/bin/python scripts/draw_similarities.py '*@t5-base' docs/pictures/similarities.svg

Compares the prompts of the library that a pattern names, two by two: prints how each similarity
goes with the product of the prompts' norms, how the similarities agree, and the nearest prompt of
each; draws similarity over product of norms.
"""

import sys
from pathlib import Path

import torch
from scipy.stats import spearmanr

from promptgraft.library import Library
from promptgraft.prompts import load
from promptgraft.transfer.across_tasks import SIMILARITIES, pool_of, vectors

SHOWN = {
    "euclidean": "Eq. 1 as published",
    "normalised": "Eq. 1, vectors of length one",
    "cosine": "cosine of the means",
}
SIDE, GAP, TOP, LEFT, BOTTOM = 190, 56, 52, 54, 44  # of the picture's parts
STYLE = """
  text { font: 14px system-ui, sans-serif; fill: #1f2933; }
  .small { font-size: 12px; fill: #52606d; }
  .line { stroke: #829ab1; fill: none; }
  circle { fill: #147d64; fill-opacity: 0.55; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e4e7eb; }
    .small { fill: #b0bcc8; }
    .line { stroke: #7b8794; }
    circle { fill: #27ab83; fill-opacity: 0.65; }
  }
"""


def main(pattern: str, picture: Path | None) -> None:
    found = {entry.name: load(entry.path) for entry in Library().list(pattern)}
    prompts = vectors(pool_of(found).stack())
    names = [name.partition("@")[0] for name in found]
    norms = prompts.norm(dim=-1).mean(1)
    one, other = torch.triu_indices(len(names), len(names), 1)
    products = norms[one] * norms[other]
    matrices = {name: like(prompts, prompts) for name, like in SIMILARITIES.items()}
    pairs = {name: matrix[one, other] for name, matrix in matrices.items()}
    print("norms", {name: round(norm, 1) for name, norm in zip(names, norms.tolist(), strict=True)})
    for name, values in pairs.items():
        print(f"{name}: {values.min():.4f} to {values.max():.4f}")
        print(f"  Spearman with the product of norms {rank(values, products):.2f}")
        print("  with", {o: round(rank(values, theirs), 2) for o, theirs in pairs.items()})
        nearest = (matrices[name] - 2 * torch.eye(len(names))).argmax(1).tolist()
        print("  nearest", {names[n]: names[m] for n, m in enumerate(nearest)})
    if picture is not None:
        picture.write_text(drawn({name: pairs[name] for name in SHOWN}, products))


def rank(one: torch.Tensor, other: torch.Tensor) -> float:
    """Spearman's correlation."""
    return float(spearmanr(one.numpy(), other.numpy()).statistic)


def drawn(pairs: dict[str, torch.Tensor], products: torch.Tensor) -> str:
    """A panel for each similarity, a point for each pair."""
    width, height = LEFT + len(pairs) * (SIDE + GAP), TOP + SIDE + BOTTOM
    title = "Similarity of every two prompts over the product of their norms, by three similarities"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="{title}">',
        f"<title>{title}</title>",
        f"<style>{STYLE}</style>",
    ]
    across = scaled(products.log())
    for number, (name, values) in enumerate(pairs.items()):
        left = LEFT + number * (SIDE + GAP)
        right, bottom = left + SIDE, TOP + SIDE
        parts += [
            f'<text x="{left}" y="18">{SHOWN[name]}</text>',
            small(left, 36, f"Spearman {rank(values, products):.2f}"),
            f'<path class="line" d="M{left} {TOP}V{bottom}H{right}"/>',
            small(left - 6, TOP + 10, f"{values.max():.3f}", "end"),
            small(left - 6, bottom, f"{values.min():.3f}", "end"),
            small(left, bottom + 18, f"{products.min():.0f}"),
            small(right, bottom + 18, f"{products.max():.0f}", "end"),
            small((left + right) // 2, bottom + 36, "product of norms (log)", "middle"),
        ]
        for one, other in zip(across.tolist(), scaled(values).tolist(), strict=True):
            x, y = left + 4 + (SIDE - 8) * one, bottom - 4 - (SIDE - 8) * other
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def small(x: int, y: int, text: str, anchor: str = "start") -> str:
    return f'<text class="small" x="{x}" y="{y}" text-anchor="{anchor}">{text}</text>'


def scaled(values: torch.Tensor) -> torch.Tensor:
    """To the span from 0 to 1."""
    return (values - values.min()) / (values.max() - values.min())


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]) if len(sys.argv) > 2 else None)
