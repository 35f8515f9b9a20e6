"""From judged rows to training data: no duplicates, no leaks, and as diverse as a budget allows."""

from suffice.distillation.curating.diversity import by_clusters, choose, k_center, radius
from suffice.distillation.curating.duplicates import Dropped, clusters, without_duplicates
from suffice.distillation.curating.ifd import ModelLosses, difficulty, most_instructive
from suffice.distillation.curating.language import guess
from suffice.distillation.curating.leaks import Leak, LeakReport, leak_report
from suffice.distillation.curating.settings import Curating
from suffice.distillation.curating.splitting import assign
from suffice.distillation.curating.suspicious import injected
from suffice.distillation.curating.texts import bare

__all__ = [
    "Curating",
    "Dropped",
    "Leak",
    "LeakReport",
    "ModelLosses",
    "assign",
    "bare",
    "by_clusters",
    "choose",
    "clusters",
    "difficulty",
    "guess",
    "injected",
    "k_center",
    "leak_report",
    "most_instructive",
    "radius",
    "without_duplicates",
]
