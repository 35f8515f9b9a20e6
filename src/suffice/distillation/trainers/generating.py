"""Greedy answers of a LoRA student, and how likely it found its own tokens."""

from __future__ import annotations

from collections.abc import Sequence

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

    ids = torch.tensor([list(prompt)]).to(model.device)
    with torch.no_grad():
        found = model.lm.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=most,
            do_sample=False,
            eos_token_id=model.end,
            pad_token_id=model.end or 0,
            return_dict_in_generate=True,
            output_logits=True,
        )
    tokens = found.sequences[0, len(prompt) :].tolist()
    places = zip(found.logits, tokens, strict=True)
    logs = [float(logits[0].float().log_softmax(dim=0)[token]) for logits, token in places]
    return [token for token in tokens if token != model.end], logs
