"""Sentence vectors by MiniLM on ONNX Runtime: no torch, no service, about 9 ms a query on one core."""

from __future__ import annotations

import hashlib
import threading
import weakref
from collections.abc import Iterator, Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from suffice.errors import ConfigError, EmbedderError, MissingDependency
from suffice.providers.known_files import BUNDLES

MAX_TOKENS: Final = 256
"""What all-MiniLM-L6-v2 was made for; its positions end at 512."""
_CHARACTERS_PER_TOKEN: Final = 32
"""Text beyond this many characters per token is not even cut into tokens: the limit lies far before it."""
_PACKAGES: Final = ("onnxruntime", "tokenizers")


class OnnxEmbedder:
    """Mean of the last hidden states over the text's tokens, scaled to length 1.

    The pooling that all-MiniLM-L6-v2 was trained with. Weights are int8, activations float32, so a text's
    vector does not depend on the texts embedded with it (but for the last bits). The files are
    read at the first call; safe to use from several threads.

    References
    ----------
    Reimers & Gurevych (2019), Sentence-BERT, section 3: mean pooling.
    Wang et al. (2020), MiniLM: Deep Self-Attention Distillation.
    """

    def __init__(
        self,
        *,
        path: str | None = None,
        max_tokens: int = MAX_TOKENS,
        batch_size: int = 32,
        threads: int = 1,
    ) -> None:
        """
        Parameters
        ----------
        path : a folder with `model.onnx` and `tokenizer.json`; None: what `suffice pull minilm` keeps
        max_tokens : of a text that count, its two marks included; 3 to 512
        batch_size : texts computed together, those of like length
        threads : of ONNX Runtime

        Raises
        ------
        ConfigError
            If a value is out of range or the files are not there.
        MissingDependency
            If onnxruntime or tokenizers is not installed.
        """
        if not 3 <= max_tokens <= 512:
            raise ConfigError(f"max_tokens is {max_tokens}; expected 3 to 512")
        if batch_size < 1 or threads < 1:
            raise ConfigError(f"batch_size={batch_size}, threads={threads}: each must be at least 1")
        for package in _PACKAGES:
            if find_spec(package) is None:
                raise MissingDependency(package, "embed", "the embedder minilm")
        folder = BUNDLES["minilm"].path if path is None else Path(path).expanduser()
        for name in ("model.onnx", "tokenizer.json"):
            if not (folder / name).is_file():
                remedy = "run `suffice pull minilm`" if path is None else "give a folder that holds it"
                raise ConfigError(f"the embedder minilm has no {folder / name}: {remedy}")
        self._folder = folder
        self._max_tokens, self._batch_size, self._threads = max_tokens, batch_size, threads
        self._ready: _Loaded | None = None

    @cached_property
    def name(self) -> str:
        """`minilm@` and a digest of both files; vectors of other files must not be compared with these."""
        sha = hashlib.sha256()
        for name in ("model.onnx", "tokenizer.json"):
            with (self._folder / name).open("rb") as file:
                sha.update(hashlib.file_digest(file, "sha256").digest())
        limit = "" if self._max_tokens == MAX_TOKENS else f":{self._max_tokens}"
        return f"minilm@{sha.hexdigest()[:12]}{limit}"

    @property
    def dimensions(self) -> int:
        return int(self._loaded().session.get_outputs()[0].shape[-1])

    def _loaded(self) -> _Loaded:
        if self._ready is None:
            self._ready = _shared(self._folder, self._max_tokens, self._threads)
        return self._ready

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit rows of shape (n, dimensions); an empty text gives a zero row.

        Raises
        ------
        EmbedderError
            If the files cannot be used.
        """
        loaded = self._loaded()
        out = np.zeros((len(texts), self.dimensions), np.float32)
        limit = self._max_tokens * _CHARACTERS_PER_TOKEN
        rows = [row for row, text in enumerate(texts) if text.strip()]
        ids = loaded.token_ids([texts[row][:limit] for row in rows])
        for batch in _by_length(ids, self._batch_size):
            out[[rows[i] for i in batch]] = loaded.vectors([ids[i] for i in batch])
        return out


_LOADING: Final = threading.Lock()
_IN_MEMORY: weakref.WeakValueDictionary[tuple[object, ...], _Loaded] = weakref.WeakValueDictionary()


def _shared(folder: Path, max_tokens: int, threads: int) -> _Loaded:
    """The files in memory, once for all embedders of this process that use them alike."""
    key = (folder.resolve(), (folder / "model.onnx").stat().st_mtime_ns, max_tokens, threads)
    with _LOADING:  # of several threads that come at once, one loads
        found = _IN_MEMORY.get(key)
        if found is None:
            found = _IN_MEMORY[key] = _Loaded(folder, max_tokens, threads)
        return found


def _by_length(ids: Sequence[Sequence[int]], batch_size: int) -> Iterator[list[int]]:
    """Indices in batches of like length, so that little is padded."""
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


class _Loaded:
    """The tokenizer and the network in memory."""

    def __init__(self, folder: Path, max_tokens: int, threads: int) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self.session: Any = onnxruntime.InferenceSession(
                str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
            )
            self._tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # both libraries raise their own, down to bare Exception
            raise EmbedderError(
                f"{folder} holds no usable model.onnx and tokenizer.json: {str(error)[:200]}; "
                "`suffice pull minilm` fetches them anew"
            ) from error
        # the file's own settings cut at 128 tokens and pad everything to that length
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)
        self._inputs = [one.name for one in self.session.get_inputs()]

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Of each text, its marks included."""
        sound = [
            text.encode("utf-8", "replace").decode() for text in texts
        ]  # half a surrogate pair is no text
        return [encoding.ids for encoding in self._tokenizer.encode_batch(sound)]

    def vectors(self, ids: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """(n, dimensions)"""
        width = max(map(len, ids))
        tokens = np.zeros((len(ids), width), np.int64)
        mask = np.zeros_like(tokens)
        for row, found in enumerate(ids):
            tokens[row, : len(found)] = found
            mask[row, : len(found)] = 1
        given = {"input_ids": tokens, "attention_mask": mask, "token_type_ids": np.zeros_like(tokens)}
        hidden = self.session.run(None, {name: given[name] for name in self._inputs})[0]
        sums = (mask[:, None, :].astype(np.float32) @ hidden)[:, 0]
        mean = sums / mask.sum(axis=1, keepdims=True)
        norms = np.linalg.norm(mean, axis=1, keepdims=True)
        rows: NDArray[np.float32] = (mean / np.where(norms > 0, norms, 1)).astype(np.float32)
        return rows
