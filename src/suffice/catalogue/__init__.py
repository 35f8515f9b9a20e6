"""What models cost and what they can do."""

from suffice.catalogue.pricing import token_costs_usd

__all__ = ["token_costs_usd"]
