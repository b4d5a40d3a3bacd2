"""One transfer of vectors: into the frame, by the method, to scale, and out of the frame."""

from collections.abc import Sequence

import torch
from torch import Tensor

from promptgraft.transfer.across_models.frames import Frame, framed, sent_in
from promptgraft.transfer.across_models.method import Method, Sent, Space
from promptgraft.transfer.across_models.relative import to_scale


def move(method: Method, sent: Sequence[Sent], target: Space, length: int | None = None) -> Tensor:
    """What a method makes of the sources' virtual tokens: [P, D_t].

    length  of each prompt, where the vectors are those of several prompts in a row: Eq. 6 scales
            them one by one
    """
    frame = Frame.of(target.table, method.frame)
    place = framed(target, frame, method.frame)
    found = method.move([sent_in(one, method.frame) for one in sent], place)
    if method.normalise:
        prompts = torch.split(found, length or len(found))
        found = torch.cat([to_scale(one, place.table) for one in prompts])
    return frame.leave(found)
