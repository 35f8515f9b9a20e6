"""`suffice models`: the panel, the catalogue, JSON alone on stdout."""

import json
from datetime import date

import pytest
import typer
from typer.testing import CliRunner

from suffice.catalogue import Catalogue
from suffice.cli import models
from suffice.errors import ConfigError, UnknownName

PANEL = """
models:
  - {name: "sm[b]all", provider: openai, model: gpt-4o-mini, api_key: "${SUFFICE_TEST_NO_SUCH_KEY}"}
  - {name: mine, provider: openai, model: gpt-4o-mini, input_usd_per_mtok: 9, output_usd_per_mtok: 9}
  - {name: here, provider: local, model: qwen}
  - {name: odd, provider: openai, model: my-own}
"""
app = typer.Typer()
models.register(app)


def run(*arguments):
    return CliRunner().invoke(app, arguments, catch_exceptions=True, env={"COLUMNS": "200"})


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "suffice.yaml"
    path.write_text(PANEL)
    return str(path)


def test_panel_as_json(config):
    done = run("--config", config, "--json")
    assert done.exit_code == 0
    answer = json.loads(done.stdout)
    small, mine, here, odd = answer["models"]
    assert answer["prices"] == Catalogue.load().version
    assert (small["name"], small["output_usd_per_mtok"], small["source"]) == (
        "sm[b]all",
        "0.6",
        "genai-prices",
    )
    assert (mine["output_usd_per_mtok"], mine["context_window"]) == ("9", 128_000)
    assert mine["source"] == "configuration"
    assert (here["usd_per_cpu_hour"], here["source"]) == ("0.05", "assumption")
    assert (odd["input_usd_per_mtok"], odd["capabilities"]) == (None, None)


def test_panel_as_table(config):
    done = run("--config", config)
    assert done.exit_code == 0
    for shown in ("sm[b]all", "0.15", "128,000", "json tools vision", "unknown"):
        assert shown in done.stdout
    for noted in ("no price is known for odd:", "core hour of here is an assumption"):
        assert noted in done.stderr


def test_catalogue_and_one_provider():
    every = json.loads(run("--all", "--json").stdout)["models"]
    assert len(every) == len(Catalogue.load().rows)
    google = json.loads(run("--provider", "google", "--json").stdout)["models"]
    assert {entry["provider"] for entry in google} == {"gemini"}
    tiers = next(entry["tiers"] for entry in google if entry["model"] == "gemini-2.5-pro")
    assert tiers[0]["min_prompt_tokens"] == 200_001
    assert "gemini-2.5-pro" in run("--provider", "gemini").stdout


def test_what_does_not_exist(tmp_path):
    assert isinstance(run("--config", str(tmp_path / "none.yaml")).exception, ConfigError)
    assert isinstance(run("--provider", "nobody").exception, UnknownName)


def test_stale_prices_are_said_to_be_stale(config, monkeypatch):
    monkeypatch.setattr(Catalogue, "staleness", lambda self, today: f"old on {today:%Y}")
    done = run("--config", config)
    assert f"old on {date.today():%Y}" in done.stderr
    assert json.loads(run("--config", config, "--json").stdout)["warning"].startswith("old on")
