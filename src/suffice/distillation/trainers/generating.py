"""Greedy answers of a LoRA student, and how likely it found its own tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from suffice.distillation.trainers.causal import Causal
from suffice.distillation.trainers.lessons import Writing
from suffice.providers.student_card import StudentCard
from suffice.types import FloatArray


def generated(model: Causal, card: StudentCard, queries: Sequence[str]) -> tuple[list[str], FloatArray]:
    """Texts, and (n,) the geometric mean of each one's token probabilities."""
    assert card.prompt is not None
    writing = Writing(model.tokenizer, card.prompt, end=model.end, max_length=card.max_length)
    prompts = [writing.prompt(query, card.max_length - card.max_tokens) for query in queries]
    found = [_greedy(model, prompt, card.max_tokens) for prompt in prompts]
    texts = [model.tokenizer.decode(tokens).strip() for tokens, _ in found]
    sure = [float(np.exp(np.mean(logs))) if logs else 0.0 for _, logs in found]
    return texts, np.array(sure)


def _greedy(model: Causal, prompt: Sequence[int], most: int) -> tuple[list[int], list[float]]:
    """Tokens until the end, which is left out, and all their log-probabilities."""
    import torch

    said: list[int] = []
    logs: list[float] = []
    ids = torch.tensor([list(prompt)]).to(model.device)
    kept: Any = None
    with torch.no_grad():
        for _ in range(most):
            found = model.lm(input_ids=ids, past_key_values=kept, use_cache=True, logits_to_keep=1)
            kept = found.past_key_values
            log_probs = found.logits[0, -1].float().log_softmax(dim=0)
            token = int(log_probs.argmax())
            logs.append(float(log_probs[token]))
            if token == model.end:
                break
            said.append(token)
            ids = torch.tensor([[token]]).to(model.device)
    return said, logs
