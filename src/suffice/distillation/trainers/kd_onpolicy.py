"""`kd_onpolicy`: the student writes, a teacher on the same machine says what it would have written.

Agarwal et al. (2024), On-Policy Distillation of Language Models (GKD), arXiv 2306.13649, by TRL's
`trl.experimental.gkd`; for a GPU. Both models must have the same tokens; without that, or without the
teacher's weights, `kd_offline` learns from what was stored.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

from msgspec import Meta

from suffice.distillation.flywheel.project import Settings
from suffice.distillation.trainers.base import Course
from suffice.distillation.trainers.bases import base_folder
from suffice.distillation.trainers.lessons import Lesson
from suffice.distillation.trainers.loop import Count, Progress, Trained
from suffice.distillation.trainers.lora import Desk, Lora, LoraSettings, mean_loss
from suffice.errors import ConfigError, MissingDependency
from suffice.providers.student_card import StudentCard

_IGNORED: Final = -100
"""Where labels do not count, in transformers."""
_FOLDER: Final = "trl"


class OnPolicySettings(LoraSettings, frozen=True, kw_only=True):
    """Of the section `train`."""

    teacher: str
    """A directory in the format of transformers."""
    own_share: Annotated[float, Meta(ge=0, le=1)] = 1.0
    """Of the batches that the student writes itself (lambda); the others are the rows' labels."""
    beta: Annotated[float, Meta(ge=0, le=1)] = 0.5
    """0: forward KL, 1: reverse KL, between: generalised Jensen-Shannon."""
    temperature: Annotated[float, Meta(gt=0)] = 0.9
    max_new_tokens: Count = 128


class OnPolicyKD(Lora):
    """Implements `Trainer`."""

    extra: ClassVar[str | None] = "gpu"
    settings: ClassVar[type[Settings]] = OnPolicySettings
    name: ClassVar[str] = "kd_onpolicy"
    _settings: OnPolicySettings

    def train(self, course: Course) -> StudentCard:
        """As `Lora.train`."""
        for name in ("trl", "datasets", "accelerate"):
            _library(name)
        base, teacher = base_folder(self._settings.base), self._settings.teacher
        check_tokens(Path(base).expanduser(), Path(teacher).expanduser())
        return super().train(course)

    def _descend(self, desk: Desk, lessons: Sequence[Lesson], looks: Sequence[Lesson]) -> Trained:
        import torch
        from datasets import Dataset
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.trainer_utils import get_last_checkpoint
        from trl.experimental.gkd import GKDConfig, GKDTrainer

        own, folder = self._settings, desk.course.out / _FOLDER
        has_gpu = torch.cuda.is_available()
        if not has_gpu:
            desk.course.say("no GPU: the student's own writing takes long on a CPU")
        tokenizer = AutoTokenizer.from_pretrained(desk.base, local_files_only=True)
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        dtype = torch.bfloat16 if has_gpu else torch.float32
        teacher = AutoModelForCausalLM.from_pretrained(own.teacher, local_files_only=True, dtype=dtype)
        arguments = GKDConfig(
            output_dir=str(folder),
            num_train_epochs=own.epochs,
            per_device_train_batch_size=own.batch,
            learning_rate=own.rate,
            weight_decay=own.weight_decay,
            warmup_steps=0.1,
            lr_scheduler_type="linear",
            lmbda=own.own_share,
            beta=own.beta,
            temperature=own.temperature,
            max_new_tokens=own.max_new_tokens,
            max_length=own.max_length,
            save_steps=own.checkpoint_every,
            save_total_limit=1,
            logging_steps=1,
            report_to=[],
            seed=own.seed,
            bf16=has_gpu,
            use_cpu=not has_gpu,
            disable_tqdm=True,
            dataloader_pin_memory=False,
        )
        rows = [{"prompt_ids": list(one.prompt), "target_ids": list(one.target)} for one in lessons]
        trainer = GKDTrainer(
            model=desk.model.lm,
            teacher_model=teacher,
            args=arguments,
            data_collator=Padded(int(tokenizer.pad_token_id)),
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
        )
        last = get_last_checkpoint(str(folder)) if folder.is_dir() else None
        found = trainer.train(resume_from_checkpoint=last)
        desk.model.lm.eval()
        n_steps, loss = int(found.global_step), float(found.training_loss)
        seen = mean_loss(desk.model, looks, desk.firsts) if looks else None
        desk.course.report(Progress(step=n_steps, n_steps=n_steps, loss=loss, validation_loss=seen))
        return Trained(n_steps=n_steps, loss=loss, validation_loss=seen, batch_in_memory=own.batch)


class Padded:
    """Rows of prompt and target as TRL's GKD wants them; padded on the left, since the student writes on."""

    def __init__(self, padding: int) -> None:
        self._padding = padding

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """`input_ids`, `attention_mask` and `labels` of the whole, `prompts` and their mask of its start."""
        import torch

        wholes = [[*row["prompt_ids"], *row["target_ids"]] for row in rows]
        prompts = [list(row["prompt_ids"]) for row in rows]
        labels = [[_IGNORED] * len(row["prompt_ids"]) + list(row["target_ids"]) for row in rows]

        def left(values: list[list[int]], filling: int) -> Any:
            width = max(map(len, values))
            return torch.tensor([[filling] * (width - len(one)) + one for one in values])

        return {
            "input_ids": left(wholes, self._padding),
            "attention_mask": left([[1] * len(one) for one in wholes], 0),
            "labels": left(labels, _IGNORED),
            "prompts": left(prompts, self._padding),
            "prompt_attention_mask": left([[1] * len(one) for one in prompts], 0),
        }


def check_tokens(base: Path, teacher: Path) -> None:
    """
    Raises
    ------
    ConfigError
        If the two have other tokens: then what the teacher says of the student's tokens means nothing.
    """
    known = [_vocabulary(folder) for folder in (base, teacher)]
    if known[0] != known[1]:
        raise ConfigError(
            f"{base} and {teacher} have different tokens: take kd_offline, which needs no common ones, or a "
            "teacher of the same family"
        )


def _vocabulary(folder: Path) -> Any:
    try:
        return json.loads((folder / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"no tokenizer.json with a vocabulary in {folder}: {error}") from error


def _library(name: str) -> None:
    import importlib

    try:
        importlib.import_module(name)
    except ImportError as error:
        raise MissingDependency(name, "gpu", "on-policy distillation") from error
