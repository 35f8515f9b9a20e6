"""The catalogue: lookups, exact costs, ceilings, price lists, the importer."""

from datetime import date, timedelta
from decimal import Decimal
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from suffice.catalogue import (
    LOCAL_USD_PER_CPU_HOUR,
    Catalogue,
    CatalogueRow,
    cost_ceiling_usd,
    importer,
    read_prices,
    require_price,
    token_costs_usd,
)
from suffice.catalogue.capabilities import Capabilities
from suffice.catalogue.rows import decode, encode
from suffice.errors import CatalogueError, ConfigError, DataError, PriceUnknown
from suffice.types import Candidate, Price, PriceTier, Usage

TIERED = Price(
    input_usd_per_mtok=Decimal("1.25"),
    output_usd_per_mtok=Decimal("10"),
    cached_input_usd_per_mtok=Decimal("0.125"),
    tiers=(
        PriceTier(
            min_prompt_tokens=200_001,
            input_usd_per_mtok=Decimal("2.5"),
            output_usd_per_mtok=Decimal("15"),
            cached_input_usd_per_mtok=Decimal("0.25"),
        ),
    ),
)


def candidate(price: Price, **fields: object) -> Candidate:
    return Candidate(name="m", provider="p", model="m", price=price, **fields)


# ------------------------------------------------------------------ exact costs


@pytest.mark.parametrize(
    ("prompt", "cached", "completion", "expected"),
    [
        (1_000, 0, 500, "0.00625"),  # 1000 * 1.25e-6 + 500 * 10e-6
        (1_000, 400, 500, "0.0058"),  # 600 * 1.25e-6 + 400 * 0.125e-6 + 500 * 10e-6
        (1_000, 5_000, 0, "0.000125"),  # no more can be cached than was sent
        (200_000, 0, 1, "0.25001"),  # the last prompt at the base rate
        (200_001, 0, 1, "0.5000175"),  # one more, and the tier holds for all of it
        (200_001, 200_001, 0, "0.05000025"),  # 200001 * 0.25e-6
        (0, 0, 0, "0"),
    ],
)
def test_costs_are_exact(prompt, cached, completion, expected):
    usage = Usage(prompt_tokens=prompt, completion_tokens=completion, cached_tokens=cached)
    assert TIERED.cost_usd(usage) == Decimal(expected)


def test_cached_tokens_cost_as_much_as_others_where_no_price_says_otherwise():
    price = Price(input_usd_per_mtok=Decimal(3), output_usd_per_mtok=Decimal(15))
    usage = Usage(prompt_tokens=1_000, completion_tokens=0, cached_tokens=900)
    assert price.cost_usd(usage) == Decimal("0.003")


def test_unknown_is_never_free():
    assert TIERED.cost_usd(Usage(prompt_tokens=1)) is None
    assert Price().cost_usd(Usage(prompt_tokens=1, completion_tokens=1)) is None
    with pytest.raises(PriceUnknown, match=r"'m' \(p/m\).*never taken as 0"):
        require_price(candidate(Price()))


def test_local_models_cost_core_time():
    price = Catalogue.load().candidate("here", "local", "qwen").price
    assert price.usd_per_cpu_hour == LOCAL_USD_PER_CPU_HOUR == Decimal("0.05")
    assert price.source == "assumption"
    assert price.cost_usd(Usage(compute_s=36.0)) == Decimal("0.0005")
    assert price.cost_usd(Usage(prompt_tokens=1, completion_tokens=1)) is None


RATE = st.decimals(0, 100, places=4)
COUNT = st.integers(0, 400_000)


@st.composite
def prices(draw):
    starts = sorted(draw(st.sets(st.integers(1, 300_000), max_size=3)))
    rates = sorted([(draw(RATE), draw(RATE)) for _ in range(len(starts) + 1)])
    cached = draw(st.none() | st.just(rates[0][0] / 4))
    tiers = tuple(
        PriceTier(min_prompt_tokens=start, input_usd_per_mtok=into, output_usd_per_mtok=out)
        for start, (into, out) in zip(starts, rates[1:], strict=True)
    )
    into, out = rates[0]
    return Price(
        input_usd_per_mtok=into, output_usd_per_mtok=out, cached_input_usd_per_mtok=cached, tiers=tiers
    )


def cost(price: Price, prompt: int, completion: int, cached: int = 0) -> Decimal:
    usage = Usage(prompt_tokens=prompt, completion_tokens=completion, cached_tokens=cached)
    found = price.cost_usd(usage)
    assert found is not None
    return found


@given(price=prices(), prompt=COUNT, completion=COUNT, cached=COUNT, more=st.integers(0, 1000))
def test_costs_are_never_negative_and_grow_with_the_answer(price, prompt, completion, cached, more):
    assert cost(price, prompt, completion, cached) >= 0
    assert cost(price, prompt, completion + more, cached) >= cost(price, prompt, completion, cached)


@given(price=prices(), prompt=COUNT, more=st.integers(0, 1000))
def test_costs_grow_with_the_prompt_where_tiers_get_dearer(price, prompt, more):
    outs = [price.output_usd_per_mtok, *(tier.output_usd_per_mtok for tier in price.tiers)]
    assume(outs == sorted(outs))
    assert cost(price, prompt + more, 100) >= cost(price, prompt, 100)


@given(price=prices(), size=COUNT, limit=COUNT, data=st.data())
def test_no_call_costs_more_than_its_ceiling(price, size, limit, data):
    prompt, completion = data.draw(st.integers(0, size)), data.draw(st.integers(0, limit))
    cached = data.draw(st.integers(0, size))
    assert cost(price, prompt, completion, cached) <= cost_ceiling_usd(candidate(price), size, limit)


@given(rate=st.decimals("0.0001", 100, places=4), limit=st.floats(0, 1e6), part=st.floats(0, 1))
def test_no_local_call_costs_more_than_its_ceiling(rate, limit, part):
    price = Price(usd_per_cpu_hour=rate)
    ceiling = cost_ceiling_usd(candidate(price), 0, max_compute_s=limit)
    assert price.cost_usd(Usage(compute_s=limit * part)) <= ceiling


@given(price=prices(), prompt=COUNT, completion=COUNT)
def test_arrays_agree_with_exact_costs(price, prompt, completion):
    costs = token_costs_usd(price, np.array([prompt, np.nan]), np.array([completion, 1.0]))
    assert costs[0] == pytest.approx(float(cost(price, prompt, completion)), abs=1e-12)
    assert np.isnan(costs[1])


def test_ceilings_fall_back_to_the_models_own_limits():
    flat = Price(input_usd_per_mtok=Decimal(1), output_usd_per_mtok=Decimal(2))
    assert cost_ceiling_usd(candidate(flat, max_output_tokens=100), 0) == Decimal("0.0002")
    assert cost_ceiling_usd(candidate(flat, context_window=200), 0) == Decimal("0.0004")
    with pytest.raises(CatalogueError, match=r"nothing bounds the cost.*max_tokens"):
        cost_ceiling_usd(candidate(flat), 0)
    hourly = candidate(Price(usd_per_cpu_hour=Decimal("0.36")))
    assert cost_ceiling_usd(hourly, 10, 10, max_compute_s=10) == Decimal("0.001")
    with pytest.raises(CatalogueError, match="max_compute_s"):
        cost_ceiling_usd(hourly, 10, 10)
    with pytest.raises(PriceUnknown):
        cost_ceiling_usd(candidate(Price()), 10, 10)
    with pytest.raises(ValueError, match="at least 0"):
        cost_ceiling_usd(candidate(flat), -1, 10)


# ------------------------------------------------------------------ the shipped file


def test_the_shipped_catalogue_is_sound():
    catalogue = Catalogue.load()
    assert len(catalogue.rows) > 300
    assert {"openai", "anthropic", "gemini", "mistral", "deepseek", "groq", "together"} <= set(
        catalogue.providers
    )
    for row in catalogue.rows:
        price = row.price
        assert price.is_known, row.model
        assert price.source, row.model
        assert date.fromisoformat(row.as_of)
        starts = [tier.min_prompt_tokens for tier in price.tiers]
        assert starts == sorted(starts)
        assert row.context_window is None or row.context_window > 0
        assert row.capabilities <= {"tools", "vision", "json", "logprobs", "streaming"}


@pytest.mark.parametrize(
    ("provider", "model", "found"),
    [
        ("openai", "gpt-4o-mini", "gpt-4o-mini"),
        ("OpenAI", "GPT-4o-mini", "gpt-4o-mini"),
        ("openai", "gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("openai", "gpt-4o-2024-05-13", "gpt-4o-2024-05-13"),  # has a price of its own
        ("anthropic", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("google", "gemini-2.5-pro", "gemini-2.5-pro"),
        ("gemini", "models/gemini-2.5-flash", "gemini-2.5-flash"),
        ("openai", "gpt-4o-mega", None),
        ("nobody", "gpt-4o-mini", None),
        ("openai", "", None),
    ],
)
def test_find(provider, model, found):
    row = Catalogue.load().find(provider, model)
    assert (row and row.model) == found


def test_known_prices():
    price = Catalogue.load().candidate("small", "openai", "gpt-4o-mini").price
    assert (price.input_usd_per_mtok, price.output_usd_per_mtok) == (Decimal("0.15"), Decimal("0.6"))
    assert price.cached_input_usd_per_mtok == Decimal("0.075")


def test_the_file_round_trips():
    rows = Catalogue.load().rows
    data = encode(rows, as_of=rows[0].as_of, sources={"default": rows[0].source})
    assert decode(data) == rows
    with pytest.raises(CatalogueError, match="not a catalogue file"):
        decode(b'{"models": []}')
    unpriced = CatalogueRow(provider="p", model="m")
    with pytest.raises(CatalogueError, match="p/m has no price"):
        encode([unpriced], as_of="2026-01-01", sources={"default": "x"})


# ------------------------------------------------------------------ the user's word

ROW = CatalogueRow(
    provider="p",
    model="m",
    price=msgspec.structs.replace(TIERED, source="list", as_of="2026-01-01"),
    context_window=1000,
    capabilities=frozenset({"tools"}),
)


def test_the_users_values_win():
    made = Catalogue([ROW]).candidate("mine", "p", "m", context_window=7, strength=0.5, capabilities=["json"])
    assert (made.context_window, made.strength, made.capabilities) == (7, 0.5, {"json"})
    assert made.price == ROW.price


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"input_usd_per_mtok": 4}, ("4", "10", None, 0)),
        ({"output_usd_per_mtok": 0.3}, ("1.25", "0.3", "0.125", 0)),
        ({"input_usd_per_mtok": "4", "output_usd_per_mtok": "5"}, ("4", "5", None, 0)),
        ({"cached_input_usd_per_mtok": 0}, ("1.25", "10", "0", 1)),
        ({"price": Price(input_usd_per_mtok=Decimal(4))}, ("4", "10", None, 0)),
        ({}, ("1.25", "10", "0.125", 1)),
    ],
)
def test_prices_are_merged_field_by_field(given, expected):
    price = Catalogue([ROW]).candidate("mine", "p", "m", **given).price
    into, out, cached, n_tiers = expected
    assert price.input_usd_per_mtok == Decimal(into)
    assert price.output_usd_per_mtok == Decimal(out)
    assert price.cached_input_usd_per_mtok == (None if cached is None else Decimal(cached))
    assert len(price.tiers) == n_tiers


@pytest.mark.parametrize("value", [-1, float("nan"), "cheap", float("inf")])
def test_prices_that_are_none(value):
    with pytest.raises(ConfigError, match="is no price"):
        Catalogue([ROW]).candidate("mine", "p", "m", input_usd_per_mtok=value)


def test_unknown_settings_are_refused_and_unknown_models_unpriced():
    catalogue = Catalogue([ROW])
    with pytest.raises(ConfigError, match="unknown setting 'colour'"):
        catalogue.candidate("mine", "p", "m", colour="red")
    assert not catalogue.candidate("mine", "p", "other").price.is_known
    assert catalogue.candidate("mine", "local", "x", input_usd_per_mtok=1).price.usd_per_cpu_hour is None


def test_overrides_replace_rows_and_change_the_version():
    plain, mine = Catalogue.load(), Catalogue.load(overrides=[ROW])
    assert mine.find("p", "m") == ROW
    assert plain.version == Catalogue.load().version != mine.version
    assert plain.version.startswith(plain.as_of)


def test_staleness():
    day = date.fromisoformat(ROW.as_of)
    assert Catalogue([ROW]).staleness(day + timedelta(days=60)) is None
    assert "61 days old (2026-01-01)" in Catalogue([ROW]).staleness(day + timedelta(days=61))
    assert Catalogue([]).staleness(day) is None


# ------------------------------------------------------------------ price lists


def test_read_prices(tmp_path):
    path = tmp_path / "prices.csv"
    path.write_text("model,usd_per_mtok_in,usd_per_mtok_out\nsmall,0.15,0.6\nodd,,1\n")
    prices = read_prices(path)
    assert prices["small"].cost_usd(Usage(prompt_tokens=10, completion_tokens=10)) == Decimal("0.0000075")
    assert not prices["odd"].is_known
    path.write_text("model,usd_per_mtok_in,usd_per_mtok_out\na,1,1\na,2,2\n")
    with pytest.raises(DataError, match="row 2, column 'model': 'a' stands here a second time"):
        read_prices(path)
    path.write_text("model,usd_per_mtok_in,usd_per_mtok_out\na,-1,1\n")
    with pytest.raises(DataError, match=r"row 1, column 'usd_per_mtok_in': .* is negative"):
        read_prices(path)


# ------------------------------------------------------------------ the importer


def rate(base, *tiers):
    return SimpleNamespace(
        base=Decimal(base),
        tiers=[SimpleNamespace(start=start, price=Decimal(price)) for start, price in tiers],
    )


def entry(into, out, cached=None, **constraint):
    made = SimpleNamespace(input_mtok=into, output_mtok=out, cache_read_mtok=cached)
    return SimpleNamespace(prices=made, constraint=SimpleNamespace(**constraint) if constraint else None)


def test_importer_takes_the_days_price_and_the_dearest_hour():
    model = SimpleNamespace(
        prices=[
            entry(Decimal(1), Decimal(2)),
            entry(Decimal(3), Decimal(4), start_date=date(2026, 1, 1)),
            entry(Decimal(9), Decimal(9), start_date=date(2027, 1, 1)),
        ]
    )
    assert importer._price(model, date(2026, 6, 1)).input_usd_per_mtok == 3
    assert importer._price(model, date(2025, 6, 1)).input_usd_per_mtok == 1
    model.prices.append(entry(Decimal(6), Decimal(8), start_time="01:00"))
    assert importer._price(model, date(2026, 6, 1)).input_usd_per_mtok == 6


def test_importer_reads_tiers_as_more_than_their_start():
    made = SimpleNamespace(
        prices=SimpleNamespace(
            input_mtok=rate(1, (100, 2)), output_mtok=rate(3, (100, 4)), cache_read_mtok=Decimal("0.1")
        )
    )
    price = importer._price(made, date(2026, 1, 1))
    assert [tier.min_prompt_tokens for tier in price.tiers] == [101]
    assert cost(price, 100, 0) == Decimal("0.0001")
    assert cost(price, 101, 0) == Decimal("0.000202")


def test_importer_skips_the_unpriced_and_the_free():
    for into, out in ((None, Decimal(1)), (Decimal(1), None), (Decimal(0), Decimal(0))):
        assert importer._price(entry(into, out), date(2026, 1, 1)) is None


def test_capabilities_come_from_the_same_model_and_drop_what_is_no_chat():
    table = Capabilities(
        {
            "m-2026-01-01": {"supports_function_calling": True, "max_output_tokens": "50", "mode": "chat"},
            "voice": {"mode": "audio_speech"},
        }
    )
    row = CatalogueRow(provider="openai", model="m")
    assert table.add_to(row) == msgspec.structs.replace(
        row, capabilities=frozenset({"tools", "streaming"}), max_output_tokens=50
    )
    assert table.add_to(CatalogueRow(provider="openai", model="voice")) is None
    unknown = CatalogueRow(provider="openai", model="unheard of")
    assert table.add_to(unknown) == unknown


def test_importer_writes_the_file(tmp_path):
    pytest.importorskip("genai_prices", reason="the extra [prices] is not installed")
    importer.main(["--as-of", "2026-11-23", "--out", str(tmp_path / "models.json")])
    rows = decode((tmp_path / "models.json").read_bytes())
    assert {row.as_of for row in rows} == {"2026-11-23"}
    assert Catalogue(rows).find("openai", "gpt-4o-mini").price.output_usd_per_mtok == Decimal("0.6")
