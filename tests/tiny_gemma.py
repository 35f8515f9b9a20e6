"""A Gemma 3 of two layers with random weights, for transformers and, as GGUF, for llama.cpp: no download."""

from __future__ import annotations

import random
import string
from pathlib import Path
from typing import Any

import numpy as np

from suffice.distillation.flywheel import Row, Task
from suffice.distillation.trainers import Course

_SPECIAL = ("<pad>", "<eos>", "<bos>", "<unk>")
_BYTES = tuple(f"<0x{n:02X}>" for n in range(256))
_CHARACTERS = ("▁", *string.ascii_lowercase, *string.digits, "\n", ":", "?")
_WORDS = ("▁a", "▁b", "▁c")
TOKENS = (*_SPECIAL, *_BYTES, *_CHARACTERS, *_WORDS)
WIDTH, LAYERS, HEADS, HEAD, HIDDEN = 64, 2, 2, 256, 128  # transformers takes 256 for granted in a GGUF


LABELS = ("a", "b")
TASK = Task(kind="classify", labels=LABELS)
PROMPT = "{query}\nkind:"


def rows(n: int, seed: int = 0) -> list[Row]:
    """Texts of x and y; which is more decides."""
    rng = random.Random(seed)
    found = []
    for number in range(n):
        label = rng.choice(LABELS)
        text = "".join(rng.choices("xy", weights=(9, 1) if label == "a" else (1, 9), k=6))
        found.append(Row(id=str(number), query=text, label=label, reference=label))
    return found


def settings(base: Path, **more: Any) -> dict[str, Any]:
    return {
        "base": str(base),
        "prompt": PROMPT,
        "max_length": 64,
        "rate": 2e-2,
        "epochs": 4,
        "rank": 4,
        **more,
    }


def course(out: Path, n: int = 64, notes: list[str] | None = None, **more: Any) -> Course:
    made = {"rows": rows(n), "validation": rows(24, 1), "task": TASK, "out": out} | more
    return Course(**made, say=notes.append if notes is not None else lambda _: None)


def config() -> Any:
    from transformers import Gemma3TextConfig

    return Gemma3TextConfig(
        vocab_size=len(TOKENS),
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=1,
        head_dim=HEAD,
        intermediate_size=HIDDEN,
        query_pre_attn_scalar=HEAD,
        max_position_embeddings=512,
        sliding_window=512,
        layer_types=["sliding_attention"] * LAYERS,
        initializer_range=0.3,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
    )


def write(folder: Path, *, seed: int = 0) -> Path:
    """The folder, in the format of transformers."""
    import torch
    from transformers import Gemma3ForCausalLM

    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Gemma3ForCausalLM(config())
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if "norm" in name:
                    weight.normal_(std=0.1)
    model.save_pretrained(str(folder))
    _tokenizer().save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>", "eos_token": "<eos>", '
        '"bos_token": "<bos>", "unk_token": "<unk>"}'
    )
    return folder


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, normalizers, processors

    places = {token: place for place, token in enumerate(TOKENS)}
    merges = [("▁", word[1:]) for word in _WORDS]
    made = Tokenizer(models.BPE(vocab=places, merges=merges, unk_token="<unk>", byte_fallback=True))
    made.add_special_tokens(list(_SPECIAL))
    made.normalizer = normalizers.Replace(" ", "▁")
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    made.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", places["<bos>"])]
    )
    return made


def write_gguf(folder: Path, out: Path) -> Path:
    """What `write` left, as a base for llama.cpp."""
    import gguf
    from safetensors.numpy import load_file

    writer = gguf.GGUFWriter(str(out), "gemma3")
    writer.add_context_length(512)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(1)
    writer.add_key_length(HEAD)
    writer.add_value_length(HEAD)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1e6)
    writer.add_sliding_window(512)
    kinds = gguf.TokenType
    types = [kinds.CONTROL] * 3 + [kinds.UNKNOWN] + [kinds.BYTE] * 256
    types += [kinds.NORMAL] * (len(TOKENS) - len(types))
    writer.add_tokenizer_model("llama")
    writer.add_token_list([token.encode() for token in TOKENS])
    writer.add_token_scores([0.0 if token in _WORDS else -10.0 for token in TOKENS])
    writer.add_token_types(types)
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(1)
    writer.add_unk_token_id(3)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GEMMA3, LAYERS)
    for name, weight in load_file(str(folder / "model.safetensors")).items():
        module = name.removesuffix(".weight")
        value = weight.astype(np.float32) + (1.0 if "norm" in name else 0.0)  # llama.cpp's norms start at 1
        writer.add_tensor(f"{names.get_name(module)}.weight", value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return out
