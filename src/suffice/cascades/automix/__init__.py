"""AutoMix: a model verifies its own answer, and a meta-verifier decides from the share that says "correct".

References
----------
Aggarwal et al. (2023), AutoMix: Automatically Mixing Language Models.
"""

from suffice.cascades.automix.bayes import Bayes
from suffice.cascades.automix.double_threshold import DoubleThreshold
from suffice.cascades.automix.pomdp import Pomdp
from suffice.cascades.automix.self_consistency import SelfConsistency
from suffice.cascades.automix.threshold import Threshold
from suffice.cascades.automix.verification import share, verdict

__all__ = ["Bayes", "DoubleThreshold", "Pomdp", "SelfConsistency", "Threshold", "share", "verdict"]
