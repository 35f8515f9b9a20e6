"""Calibrators: confidences made honest. The promise on top of them is `suffice.calibration.guarantee`.

All learn from confidences in [0, 1] and whether the answers were right, never from rows they are judged on.
"""

from suffice.calibration.base import Calibrator
from suffice.calibration.beta import Beta
from suffice.calibration.choose import available, choose_calibrator, create, cross_validated_losses, from_json
from suffice.calibration.grouped import Grouped
from suffice.calibration.histogram import Histogram
from suffice.calibration.identity import Identity
from suffice.calibration.isotonic import Isotonic
from suffice.calibration.platt import Platt
from suffice.calibration.temperature import Temperature
from suffice.calibration.venn_abers import VennAbers

__all__ = [
    "Beta",
    "Calibrator",
    "Grouped",
    "Histogram",
    "Identity",
    "Isotonic",
    "Platt",
    "Temperature",
    "VennAbers",
    "available",
    "choose_calibrator",
    "create",
    "cross_validated_losses",
    "from_json",
]
