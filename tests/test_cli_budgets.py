"""`suffice budgets`, `suffice keys create --budget-...`, and budgets in suffice.yaml, with a real gateway."""

import asyncio
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from commands import Commands, FakeProvider
from store_parts import record
from suffice import config as configuration
from suffice.budgets import Claim, Ledger, Reserve, Settle
from suffice.build import build
from suffice.cli.store import opened
from suffice.engine import Request
from suffice.errors import AllAttemptsFailed, ConfigError
from suffice.store import open_ledger
from suffice.types import Options, Query

BUDGETS = """\
budgets:
  - {name: everything, usd: 5, every: month, zone: Europe/Berlin}
  - {name: teams, per: team, tokens: 100000, rolling: 24h}
"""


@pytest.fixture
def suffice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(tmp_path, monkeypatch, capsys)


def test_budgets_are_set_shown_and_cleared(suffice: Commands) -> None:
    assert "no budgets" in suffice("budgets", "list").err
    assert suffice("budgets", "set", "b", "--per", "team", "--usd", "2.5", "--every", "day").code == 0
    (line,) = suffice("budgets", "list", "--json").json
    assert line["budget"] == {"name": "b", "per": "team", "usd": 2.5, "every": "day"}
    assert (line["unit"], line["limit"], line["left"], line["subject"]) == ("usd", "2.5", "2.5", None)
    shown = suffice("budgets", "list").out
    assert "2.5 USD per day" in shown and "each team" in shown
    assert suffice("budgets", "clear", "b").code == 0
    missing = suffice("budgets", "clear", "b")
    assert missing.code == 1 and "no budget 'b'" in missing.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--usd", "0"), "more than 0"),
        (("--usd", "-3"), "more than 0"),
        (("--tokens", "0"), "at least 1 token"),
        (("--usd", "1", "--max-tokens", "0"), "--max-tokens: Expected `int` >= 1, found 0"),
        (("--usd", "1", "--zone", "Europe/Berlin"), "does nothing without --every"),
        (("--usd", "1", "--per", "key", "--only", "nokey"), "no valid key has the id 'nokey'"),
        ((), "either"),
        (("--usd", "1", "--every", "day", "--zone", "Nowhere"), "Nowhere"),
        (("--tokens", "5", "--rolling", "x"), "no length of time"),
    ],
)
def test_bad_budgets_are_refused(suffice: Commands, options: tuple[str, ...], said: str) -> None:
    done = suffice("budgets", "set", "b", *options)
    assert done.code == 1 and said in done.err


STRANGERS = """\
budgets:
  - {name: ours, per: team, only: default, tokens: 5}
  - {name: wrong, per: team, only: amce, tokens: 5}
  - {name: hers, per: user, only: default/ann, tokens: 5}
  - {name: his, per: user, only: bob, tokens: 5}
  - {name: gone, per: key, only: nokey, tokens: 5}
  - {name: open, per: key, only: keyless, tokens: 5}
"""


def test_budgets_for_nobody_are_told(suffice: Commands) -> None:
    with FakeProvider() as provider:
        _told_of_strangers(suffice, provider.config)


def _told_of_strangers(suffice: Commands, config: str) -> None:
    suffice.write(config.replace("    strength", "    max_output_tokens: 40\n    strength") + STRANGERS)

    def told() -> dict[str, dict[str, str]]:
        findings = suffice("doctor", "--json").json["findings"]
        return {one["name"]: one for one in findings if one["name"].startswith("budget ")}

    assert set(told()) == {"budget wrong", "budget hers", "budget his", "budget gone"}
    assert not Path("suffice.db").exists()
    suffice("keys", "create", "--tenant", "acme")
    revoked = suffice("keys", "create", "--tenant", "left", "--json").json["key"]["id"]
    suffice("keys", "revoke", revoked)
    with opened(None) as store:
        store.append(record(user="ann"))
    found = told()
    assert set(found) == {"budget wrong", "budget his", "budget gone"}
    assert all(one["status"] == "warn" for one in found.values())
    assert (
        "the team 'amce', of which there is no key; known: acme, default" in found["budget wrong"]["detail"]
    )
    assert found["budget wrong"]["remedy"].endswith("suffice keys create --tenant amce")
    assert "the user 'bob', whom no request named yet; known: ann" in found["budget his"]["detail"]
    assert revoked not in found["budget gone"]["detail"]
    listed = suffice("budgets", "list")
    assert listed.code == 0
    for one in found.values():
        assert one["detail"] in listed.err and one["remedy"] in listed.err
    done = suffice("budgets", "set", "x", "--per", "team", "--only", "left", "--tokens", "5")
    assert done.code == 0 and "the team 'left', of which there is no key" in done.err
    suffice("keys", "create", "--tenant", "left")
    assert "the team 'left'" not in suffice("budgets", "list").err


def test_a_table_shows_the_fullest_and_names_that_can_be_copied(
    suffice: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = suffice("keys", "create", "--name", "n" * 60, "--budget-usd-per-day", "3", "--json").json["key"]
    assert suffice("budgets", "set", "people", "--per", "user", "--tokens", "1000").code == 0
    with opened("sqlite:///suffice.db") as store:
        ledger = open_ledger(None, store)
        claims = [Claim(f"people|tokens|total|t/u{i:02}", 0, 0, 0, 10 + i, 1000) for i in range(25)]
        asyncio.run(_spend(ledger, claims))
    monkeypatch.setenv("COLUMNS", "80")
    done = suffice("budgets", "list")
    assert f"{key['id']}.day" in done.out and "its key" in done.out
    assert done.out.index("t/u24") < done.out.index("t/u05") and "t/u04" not in done.out
    assert "and 5 with more left" in done.err
    assert "t/u00" in suffice("budgets", "list", "--limit", "30").out
    lines = suffice("budgets", "list", "--json").json
    assert len(lines) == 26 and lines[1]["unit"] == "tokens" and lines[1]["spent"] == 34
    assert key["prefix"] in suffice("keys", "list").out


async def _spend(ledger: Ledger, claims: list[Claim]) -> None:
    for one in claims:
        await ledger.apply([Reserve(one.account, (one,), 60.0), Settle(one.account, (one.amount,))])
    await ledger.close()


def test_names_are_refused_with_what_is_expected(suffice: Commands) -> None:
    said = "the name of a budget is 'a b': expected up to 100 letters, digits and _.:-"
    assert said in " ".join(suffice("budgets", "set", "a b", "--usd", "1").err.split())
    for tenant in (" ", "a\nb", "t" * 101):
        assert suffice("keys", "create", "--tenant", tenant).code == 2
    assert suffice("keys", "create", "--name", "a\tb").code == 2


def test_configured_budgets_are_changed_in_the_file(suffice: Commands) -> None:
    with FakeProvider() as provider:
        suffice.write(provider.config + BUDGETS)
        assert "stands in suffice.yaml" in suffice("budgets", "set", "teams", "--usd", "1").err
        names = [line["budget"]["name"] for line in suffice("budgets", "list", "--json").json]
        assert names == ["everything", "teams"]


def test_errors_in_the_file_name_their_line() -> None:
    file = Path("suffice.yaml")
    for text, said in (
        ("budgets:\n  - {name: a, usd: 0}\n", "suffice.yaml:2: budgets[0]: the budget 'a' is 0"),
        (
            "budgets:\n  - name: a\n    usd: 1\n    evry: day\n",
            "suffice.yaml:4: budgets[0].evry: unknown key",
        ),
        ("budgets:\n  - {name: 'a b', usd: 1}\n", "budgets[0].name"),
    ):
        with pytest.raises(ConfigError) as caught:
            configuration.parse(text, file=file, environ={})
        assert said in str(caught.value)


def test_an_unpriced_or_unbounded_panel_refuses_budgets_at_the_start(tmp_path: Path) -> None:
    model = "models: [{name: m, provider: openai, model: nobody-knows, base_url: http://127.0.0.1:9/v1%s}]\n"
    budget = "budgets: [{name: b, usd: 1%s}]\n"
    priced = ", input_usd_per_mtok: 1, output_usd_per_mtok: 2"
    for text, said in (
        (model % "" + budget % "", "no price is known for 'm'"),
        (model % priced + budget % "", "nothing bounds"),
        (model % priced + budget % ", max_tokens: 9, degrade: 'auto:x'", "no pipeline"),
        (model % priced + budget % ", max_tokens: 9, per: model, only: x", "not in the panel"),
    ):
        config = configuration.parse(text + "store: 'sqlite:///:memory:'\n", file=tmp_path / "s", environ={})
        with pytest.raises(ConfigError, match=said):
            build(config)


def test_a_key_with_a_budget_is_refused_when_it_is_spent(suffice: Commands) -> None:
    """A gateway with several workers on one store; the provider's answers take 1e-6 + 2e-6 USD."""
    with FakeProvider() as provider:
        suffice.write(provider.config.replace("    strength", "    max_output_tokens: 4000\n    strength"))
        made = suffice("keys", "create", "--budget-usd-per-day", "0.0005", "--json").json
        secret, key = made["secret"], made["key"]["id"]
        (line,) = suffice("budgets", "list", "--json").json
        assert line["budget"] == {
            "name": f"{key}.day",
            "per": "key",
            "only": key,
            "usd": 0.0005,
            "every": "day",
        }
        with suffice.start("up", "--port", "0", "--workers", "2") as gateway:
            assert gateway.says("suffice ready on")
            url = gateway.out.split("ready on ")[1].split("/v1")[0] + "/v1/chat/completions"
            replies = [ask(url, secret) for _ in range(8)]
            late = ask(url, secret, max_tokens=2000)
            assert suffice("budgets", "clear", f"{key}.day").code == 0
            gateway.signals(15)
            assert gateway.ends() == 0
    assert {status for status, _ in replies} == {200}
    assert late[0] == 402, "it may cost more than all of the budget"
    assert late[1]["error"]["code"] == "budget_exceeded"
    assert late[1]["error"]["budget"]["subject"] == key


def ask(url: str, secret: str, max_tokens: int = 50) -> tuple[int, Any]:
    body = {"model": "cheap", "messages": [{"role": "user", "content": "hi"}], "max_tokens": max_tokens}
    request = urllib.request.Request(
        url,
        json.dumps(body).encode(),
        {"authorization": f"Bearer {secret}", "content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_the_configuration_keeps_its_budgets_over_a_restart(suffice: Commands) -> None:
    with FakeProvider() as provider:
        file = suffice.write(
            provider.config
            + "budgets: [{name: calls, tokens: 700, per: model, wait_s: 0, max_tokens: 100}]\n"
        )

        async def session() -> int:
            engine = build(configuration.load(file))
            request = Request(query=Query(text="hi"), model="cheap", options=Options())
            n_served = 0

            async def until_refused() -> None:
                nonlocal n_served
                while True:
                    await engine.answer(request)
                    n_served += 1

            with pytest.raises(AllAttemptsFailed) as caught:
                await until_refused()
            await engine.close()
            assert caught.value.status == 402
            return n_served

        served = [asyncio.run(session()) for _ in range(2)]
        (line,) = suffice("budgets", "list", "--json").json
    assert served[0] > 20 and served[1] == 0
    assert (line["subject"], line["spent"]) == ("cheap", 15 * served[0])
    assert line["reserved"] == 0
