"""What models cost and what they can do.

The file `models.json` says for every row where its price comes from and of which day it is;
`python -m suffice.catalogue.importer` writes it anew. The user's own prices win over it.
"""

from suffice.catalogue.catalogue import Catalogue
from suffice.catalogue.pricelist import read_prices
from suffice.catalogue.pricing import (
    LOCAL_USD_PER_CPU_HOUR,
    cost_ceiling_usd,
    local_price,
    require_price,
    token_costs_usd,
)
from suffice.catalogue.rows import CatalogueRow

__all__ = [
    "LOCAL_USD_PER_CPU_HOUR",
    "Catalogue",
    "CatalogueRow",
    "cost_ceiling_usd",
    "local_price",
    "read_prices",
    "require_price",
    "token_costs_usd",
]
