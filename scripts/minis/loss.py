"""Cross-entropy over the vocabulary without ever holding all logits."""

from __future__ import annotations

import torch
from torch import Tensor

ROWS_AT_ONCE = 1024


class _TableCrossEntropy(torch.autograd.Function):
    """Loss and all its gradients in one pass over blocks of rows; products in bfloat16."""

    @staticmethod
    def forward(ctx, states, table, bias, targets, weights):  # type: ignore[no-untyped-def]
        """states [N, D], table [V, D], bias [V], targets [N], weights [N] -> scalar."""
        table16, states16, bias16 = table.bfloat16(), states.bfloat16(), bias.bfloat16()
        to_states = torch.empty_like(states16)
        to_table, to_bias = torch.zeros_like(table), torch.zeros(len(bias))
        total = torch.zeros((), dtype=torch.float32)
        for start in range(0, len(states), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            logits = torch.addmm(bias16, states16[part], table16.t())
            chances = torch.softmax(logits, -1, dtype=torch.float32)
            target, weight = targets[part, None], weights[part, None]
            hit = chances.gather(1, target)
            total -= (hit.clamp_min(1e-30).log() * weight).sum()
            chances.scatter_(1, target, hit - 1.0)
            chances *= weight
            gradient = chances.bfloat16()
            to_states[part] = gradient @ table16
            to_table += gradient.t() @ states16[part]
            to_bias += chances.sum(0)
        ctx.save_for_backward(to_states, to_table, to_bias)
        return total

    @staticmethod
    def backward(ctx, outer):  # type: ignore[no-untyped-def]
        to_states, to_table, to_bias = ctx.saved_tensors
        bias = (to_bias * outer).to(to_table.dtype)
        return to_states * outer, to_table * outer, bias, None, None


def table_cross_entropy(
    states: Tensor, table: Tensor, bias: Tensor | None, targets: Tensor, weights: Tensor
) -> Tensor:
    """Weighted sum of -log softmax(states @ table.T + bias)[target].

    states [B, K, D], table [V, D], bias [V] or None, targets and weights [B, K]
    """
    if bias is None:
        bias = table.new_zeros(len(table))
    return _TableCrossEntropy.apply(
        states.flatten(0, 1), table, bias, targets.flatten(), weights.flatten()
    )
