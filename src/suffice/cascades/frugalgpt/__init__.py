"""FrugalGPT: a learned scorer of answers, and the chain and thresholds that suit it best."""

from suffice.cascades.frugalgpt.cascade import FrugalGPT
from suffice.cascades.frugalgpt.optimiser import Chain, Wish, best_chains, played
from suffice.cascades.frugalgpt.reader import TextScorer
from suffice.cascades.frugalgpt.scorer import AnswerScorer

__all__ = ["AnswerScorer", "Chain", "FrugalGPT", "TextScorer", "Wish", "best_chains", "played"]
