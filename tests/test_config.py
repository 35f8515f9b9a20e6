"""suffice.yaml: what is read, and how errors say where they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suffice.config import DEFAULT_FILE, Config, GatewayConfig, ModelConfig, load, parse, schema
from suffice.errors import ConfigError

FILE = Path("somewhere/suffice.yaml")

GOOD = """\
models:
  - {name: small, provider: openai, model: mini, api_key: "${KEY}"}
  - name: large
    provider: anthropic
    input_usd_per_mtok: 0.15
    output_usd_per_mtok: 3
router: {name: knn, path: router/}
policy: {name: utility, value_usd: 0.02}
pipelines:
  cheap: {policy: {name: threshold, threshold: 0.9}}
gateway: {port: 9000}
"""


def read(text: str, **environ: str) -> Config:
    return parse(text, file=FILE, environ=environ)


def failure(text: str, **environ: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read(text, **environ)
    assert str(caught.value).startswith(str(FILE))
    return caught.value


def test_every_section_is_read() -> None:
    config = read(GOOD, KEY="sk-1")
    small, large = config.models
    assert (small.name, small.model, small.api_key) == ("small", "mini", "sk-1")
    assert large.price_overrides() is not None
    assert config.router.path == "router/"
    assert config.policy.params == {"value_usd": 0.02}
    cheap = config.pipelines["cheap"]
    assert cheap.policy is not None and cheap.policy.name == "threshold"
    assert cheap.policy.params == {"threshold": 0.9}
    assert cheap.router is None
    assert config.gateway == GatewayConfig(port=9000)
    assert config.directory == "somewhere"
    assert config.path("router") == Path("somewhere/router")


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}"])
def test_an_empty_file_takes_all_defaults(text: str) -> None:
    config = msgspec.structs.replace(read(text), directory=".")
    assert config == Config()
    assert config.gateway.host == "127.0.0.1"
    assert config.router.name == "builtin"


def test_prices_are_exactly_what_was_written() -> None:
    price = read(GOOD, KEY="k").models[1].price_overrides()
    assert price is not None
    assert price.input_usd_per_mtok == Decimal("0.15")
    assert price.source == "suffice.yaml"
    assert ModelConfig(name="a", provider="openai").price_overrides() is None


def test_the_key_is_kept_out_of_sight() -> None:
    settings = read(GOOD, KEY="sk-secret").models[0].settings()
    assert "sk-secret" not in repr(settings)
    assert settings.api_key is not None and settings.api_key.reveal() == "sk-secret"


@pytest.mark.parametrize(
    ("text", "line", "key", "said"),
    [
        ("models: []\nrooter: {}\n", 2, "rooter", "unknown key (did you mean router?)"),
        ("models: []\nzzz: {}\n", 2, "zzz", "unknown key; `suffice"),
        ("rules:\n  - when: {keyword: [a]}\n", 2, "rules[0].when.keyword", "did you mean keywords"),
        (
            "models:\n  - name: a\n    provider: b\n    capabilities: [json, tool]\n",
            4,
            "models[0].capabilities",
            "'tool' is no capability; known: tools",
        ),
        ("models:\n  - name: a\n    provider: b\n    modle: c\n", 4, "models[0].modle", "unknown key"),
        ("gateway:\n  port: eight\n", 2, "gateway.port", "Expected `int`"),
        ("gateway:\n  retries: true\n", 2, "gateway.retries", "Expected `int`"),
        ("gateway:\n  port: -1\n", 2, "gateway.port", "Expected `int` >= 0, found -1"),
        ("budgets:\n  - name: b\n    usd: 1e-12\n", 3, "budgets[0].usd", "found '1e-12': numbers go without"),
        ("budgets:\n  - {name: b, usd: 1, lost: keep}\n", 2, "budgets[0].lost", "known: return, charge"),
        ("budgets:\n  - {name: b, tokens: 0}\n", 2, "budgets[0]", "at least 1 token"),
        (
            "policy:\n  name: pilot\n  budget_usd_per_day: 0\n",
            3,
            "policy.budget_usd_per_day",
            "Expected `float` > 0.0, found 0",
        ),
        ("pipelines:\n  x:\n    policy: {name: pilot, d: 5}\n", 3, "pipelines.x.policy.d", "known: alpha"),
        ("models:\n  - provider: b\n", 2, "models[0]", "missing required field `name`"),
        ("models: {name: a}\n", 1, "models", "Expected `array`"),
        ("pipelines:\n  x:\n    polcy: {}\n", 3, "pipelines.x.polcy", "unknown key"),
        ("\n\nrouter: [knn]\n", 3, "router", "Expected `object`"),
        ("models:\n  - {name: a, provider: p}\n  - {name: a, provider: p}\n", 3, "models[1].name", "twice"),
        ("models:\n  - name: auto\n    provider: p\n", 2, "models[0].name", "kept for routing"),
        ("models:\n  - {name: 'auto:x', provider: p}\n", 2, "models[0].name", "kept for routing"),
        ("models:\n  - name: a\n    provider: p\n    usd_per_cpu_hour: -1\n", 4, None, "not a price"),
        ("models:\n  - name: a\n    provider: p\n    input_usd_per_mtok: .nan\n", 4, None, "not a price"),
        ("models:\n  - name: a\n    provider: p\n    output_usd_per_mtok: .inf\n", 4, None, "not a price"),
        ("gateway: {port: 70000}\n", 1, "gateway.port", "<= 65535"),
        ("gateway:\n  timeout_s: 0\n", 2, "gateway.timeout_s", "> 0"),
        ("models:\n  - {name: a, provider: p, strength: 2}\n", 2, "models[0].strength", "<= 1.0"),
        ('store: "\\uD800"\n', 1, None, "not Unicode"),
        ('"\\uD800": 1\n"\\uD800": 2\n', 1, None, "not Unicode"),
        ("directory: /\n", 1, "directory", "unknown key"),
        ("- a\n- b\n", None, None, "found list"),
        ("just words", None, None, "found str"),
        ("models: [\n", 2, None, ""),
        ("models:\n\t- a\n", 2, None, ""),
        ("a: 1\n---\nb: 2\n", 2, None, ""),
        ("models: 2001-99-99\n", 1, None, ""),
        ("store: !!python/object/apply:os.system [ls]\n", 1, None, "constructor"),
        ("store: \x00\n", None, None, ""),
        ("? [a, b]\n: 1\n", 1, None, ""),
        ("? {a: b}\n: 1\n", 1, None, ""),
        ("1: 2\n", 1, None, ""),
        ("router: &a {params: *a}\n", None, None, ""),
        ("store: a\nmodels: []\nstore: b\n", 3, "store", "twice"),
        ("models:\n  - {name: a, provider: p,\n     name: b}\n", 3, "models[0].name", "twice"),
    ],
)
def test_errors_name_file_line_and_key(text: str, line: int | None, key: str | None, said: str) -> None:
    error = failure(text)
    assert said in str(error)
    if line is not None:
        assert error.line == line, str(error)
        assert f"{FILE}:{line}" in str(error)
    if key is not None:
        assert error.key == key


def test_a_missing_variable_is_named_with_its_line() -> None:
    error = failure(GOOD)
    assert error.line == 2
    assert error.key == "models[0].api_key"
    assert "environment variable KEY is not set" in str(error)
    assert "${KEY:-default}" in str(error)


def test_variables_may_have_defaults_and_stand_within_text() -> None:
    text = "store: 'sqlite:///${DIR:-here}/${NAME}.db'\nmodels: []\n"
    assert read(text, NAME="a").store == "sqlite:///here/a.db"
    assert read(text, NAME="a", DIR="there").store == "sqlite:///there/a.db"
    assert read("store: '${EMPTY:-}'").store == ""


def test_the_value_of_a_variable_is_not_expanded_again() -> None:
    assert read("store: '${A}'", A="${B}").store == "${B}"


def test_a_secret_stays_out_of_errors() -> None:
    text = "gateway:\n  port: ${KEY}\n"
    assert "sk-secret" not in str(failure(text, KEY="sk-secret"))


def test_deep_nesting_is_one_sentence() -> None:
    assert "deep" in str(failure("router: {params: " + "[" * 3000 + "]" * 3000 + "}"))


def test_shared_anchors_do_not_multiply() -> None:
    """Each level names the one before nine times: 9**12 values if they were copied out."""
    levels = ["l0: &l0 [x]"] + [f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]" for i in range(1, 13)]
    text = "router:\n  params:\n" + "".join(f"    {level}\n" for level in levels)
    assert "anchor" in str(failure(text))


def test_few_anchors_and_merges_are_fine() -> None:
    text = """\
models:
  - &base {name: a, provider: openai, timeout_s: 5.5}
  - {<<: *base, name: b}
"""
    first, second = read(text).models
    assert (first.timeout_s, second.timeout_s, second.name) == (5.5, 5.5, "b")


def test_load_reads_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="suffice init"):
        load()
    (tmp_path / DEFAULT_FILE).write_text(GOOD)
    assert load(environ={"KEY": "k"}).models[0].name == "small"
    monkeypatch.setenv("KEY", "from the environment")
    assert load().models[0].api_key == "from the environment"


def test_load_of_what_is_no_text_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        load(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(ConfigError, match="cannot read"):
        load(tmp_path / "binary.yaml")


def test_schema_knows_every_setting() -> None:
    text = json.dumps(schema())
    for name in (*Config.__struct_fields__, *ModelConfig.__struct_fields__, *GatewayConfig.__struct_fields__):
        if name != "directory":
            assert f'"{name}"' in text
    properties = schema()["$defs"]["Config"]["properties"]
    assert "directory" not in properties, "set by load, not by people"


def test_schema_lets_policy_parameters_through() -> None:
    """`policy: {name: utility, value_usd: 0.02}` is written flat."""
    policy = schema()["$defs"]["PolicyConfig"]
    assert policy.get("additionalProperties", True) is not False
    assert "params" not in policy["properties"]


_keys = st.sampled_from(
    ["models", "router", "policy", "pipelines", "gateway", "store", "name", "provider", "params", "x", ""]
)
yaml_text = st.one_of(
    st.text(max_size=200),
    st.text(alphabet="{}[]:,-#&*!|>'\"%@` \n\tab01${}_?<.", max_size=80),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=3),
        max_leaves=12,
    ).map(json.dumps),
)


def outcome(read: Callable[[], Config]) -> Config | ConfigError:
    try:
        return read()
    except ConfigError as error:
        return error


@given(yaml_text)
def test_any_text_gives_a_config_or_a_config_error(text: str) -> None:
    assert outcome(lambda: parse(text, file=FILE, environ={}))


@given(st.binary(max_size=60))
def test_any_bytes_in_a_file(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "fuzzed.yaml"
    file.write_bytes(data)
    assert outcome(lambda: load(file, environ={}))


def test_included_files_stand_beside_the_rest(tmp_path: Path) -> None:
    file, other = tmp_path / "suffice.yaml", tmp_path / "more.yaml"
    model = "models:\n  - {name: NAME, provider: openai}\n"
    own = (
        model.replace("NAME", "small") + "include: [more.yaml]\npipelines: {one: {policy: {name: utility}}}\n"
    )
    file.write_text(own)
    added = "pipelines: {two: {plan: {name: single}}}\nrules: [{avoid: [large]}]\n"
    other.write_text(model.replace("NAME", "large") + added)
    found = load(file, environ={})
    assert [one.name for one in found.models] == ["small", "large"]
    assert set(found.pipelines) == {"one", "two"} and found.rules[0].avoid == ("large",)
    wrong = {
        "model: x\n": "more.yaml:1: .*unknown key",
        "store: sqlite:///x.db\n": "more.yaml:1: .*unknown key",
        "pipelines: {one: {}}\n": "stands in .* too",
        model.replace("NAME", "small"): "given twice",
        "- 1\n": "more.yaml",
    }
    for text, said in wrong.items():
        other.write_text(text)
        with pytest.raises(ConfigError, match=said):
            load(file, environ={})
    other.unlink()
    with pytest.raises(ConfigError, match=r"suffice.yaml:3: include: cannot read"):
        load(file, environ={})
