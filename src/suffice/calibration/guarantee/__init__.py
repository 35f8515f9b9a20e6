"""Routing thresholds with a promise that holds in finite samples, whatever the score.

`certify` for one cheap and one strong model, `certify_chains` for more, `Monitor` for the time after.
"""

from suffice.calibration.guarantee.betting import betting_p_values
from suffice.calibration.guarantee.binomial import binomial_cdf, clopper_pearson, rows_without_loss
from suffice.calibration.guarantee.certificate import Certificate
from suffice.calibration.guarantee.certify import GRID, certify
from suffice.calibration.guarantee.chains import (
    ChainCertificate,
    certify_chains,
    chosen_models,
    learned_path,
)
from suffice.calibration.guarantee.conformal import Expectation, conformal_risk_control
from suffice.calibration.guarantee.gain import GAIN, gain_score
from suffice.calibration.guarantee.hoeffding_bentkus import hoeffding_bentkus_p
from suffice.calibration.guarantee.monitor import Monitor
from suffice.calibration.guarantee.promises import PROMISES

__all__ = [
    "GAIN",
    "GRID",
    "PROMISES",
    "Certificate",
    "ChainCertificate",
    "Expectation",
    "Monitor",
    "betting_p_values",
    "binomial_cdf",
    "certify",
    "certify_chains",
    "chosen_models",
    "clopper_pearson",
    "conformal_risk_control",
    "gain_score",
    "hoeffding_bentkus_p",
    "learned_path",
    "rows_without_loss",
]
