"""What all stages of distillation share: rows, the project file, stages and their runner."""

from suffice.distillation.flywheel.executors import Executor, LocalExecutor, RayExecutor
from suffice.distillation.flywheel.project import Limits, Project, Settings, Task, load
from suffice.distillation.flywheel.rows import (
    ROWS,
    TEST,
    TRAIN,
    VALIDATION,
    Row,
    Sample,
    iterate_rows,
    read_rows,
    write_lines,
    write_rows,
)
from suffice.distillation.flywheel.runner import MANIFEST, Runner, digest
from suffice.distillation.flywheel.work import Done, Manifest, Result, Stage, Step, Work

__all__ = [
    "MANIFEST",
    "ROWS",
    "TEST",
    "TRAIN",
    "VALIDATION",
    "Done",
    "Executor",
    "Limits",
    "LocalExecutor",
    "Manifest",
    "Project",
    "RayExecutor",
    "Result",
    "Row",
    "Runner",
    "Sample",
    "Settings",
    "Stage",
    "Step",
    "Task",
    "Work",
    "digest",
    "iterate_rows",
    "load",
    "read_rows",
    "write_lines",
    "write_rows",
]
