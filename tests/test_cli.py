"""The commands: what stands on stdout, how they fail, what Ctrl-C does."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import Commands, FakeProvider
from suffice.cli import COMMANDS
from suffice.config import Config, load

QUESTIONS = (("What is 2 + 2?", "4", "5"), ("Capital of Peru?", "Lima", "Lima"))
RUNS = [
    {"query_id": f"q{i}", "query": query, "model": model, "response": said, "score": score,
     "prompt_tokens": 10, "completion_tokens": 2, "cost_usd": cost, "latency_s": 0.1}
    for i, (query, right, wrong) in enumerate(QUESTIONS)
    for model, said, score, cost in (("weak", wrong, 0.5, 0.001), ("strong", right, 1.0, 0.004))
]  # fmt: skip
RECORDED = """\
models:
  - {name: weak, provider: recorded, options: {path: runs.jsonl}, strength: 0.3,
     input_usd_per_mtok: 100, output_usd_per_mtok: 0}
  - {name: strong, provider: recorded, options: {path: runs.jsonl}, strength: 0.9,
     input_usd_per_mtok: 400, output_usd_per_mtok: 0}
"""


HOSTED = "models:\n  - {name: a, provider: openai, model: gpt-4o, api_key: KEY}\n"


@pytest.fixture
def suffice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(tmp_path, monkeypatch, capsys)


@pytest.fixture
def recorded(suffice: Commands) -> Commands:
    suffice.write("".join(f"{json.dumps(run)}\n" for run in RUNS), "runs.jsonl")
    suffice.write(RECORDED)
    return suffice


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as running:
        yield running


def test_help_lists_every_command(suffice: Commands) -> None:
    done = suffice("--help")
    assert done.code == 0
    assert all(name in done.out for name in COMMANDS)


@pytest.mark.parametrize(
    "arguments", [("ask",), ("ask", "a", "b"), ("route", "x", "--nonsense"), ("nonsense",)]
)
def test_misuse_is_exit_code_2(suffice: Commands, arguments: tuple[str, ...]) -> None:
    done = suffice(*arguments)
    assert done.code == 2
    assert done.out == ""


def test_ask_puts_the_answer_alone_on_stdout(recorded: Commands) -> None:
    done = recorded("ask", "What is 2 + 2?")
    assert (done.code, done.out) == (0, "4\n")
    assert done.err.count("\n") == 1
    assert done.err.startswith("strong | ")


@pytest.mark.parametrize("options", [(), ("--no-stream",)])
def test_ask_a_candidate_by_name(recorded: Commands, options: tuple[str, ...]) -> None:
    done = recorded("ask", "What is 2 + 2?", "--model", "weak", *options)
    assert (done.code, done.out) == (0, "5\n")
    assert "named by the client" in done.err


def test_ask_reads_stdin(recorded: Commands) -> None:
    assert recorded("ask", "-", stdin="What is 2 + 2?\n").out == "4\n"
    assert recorded("ask", "-", stdin="  \n").code == 2


def test_ask_as_json(recorded: Commands) -> None:
    done = recorded("ask", "What is 2 + 2?", "--json")
    assert done.json["answer"] == "4"
    assert done.json["record"]["candidate"] == "strong"
    assert done.json["record"]["cost_usd"] == "0.004"
    assert done.err == ""


def test_what_was_asked_is_recorded(recorded: Commands) -> None:
    recorded("ask", "What is 2 + 2?")
    (record,) = recorded("records", "--json").json
    assert (record["candidate"], record["status"]) == ("strong", 200)


def test_route_shows_all_candidates_and_asks_nobody(recorded: Commands) -> None:
    done = recorded("route", "What is 2 + 2?")
    assert done.code == 0
    assert "weak" in done.out and "->  strong" in done.out
    assert re.search(r"strong +0\.\d\d ", done.out)
    assert recorded("records", "--json").json == []


def test_route_as_json(recorded: Commands) -> None:
    done = recorded("route", "What is 2 + 2?", "--json", "--explain")
    decision = done.json["decision"]
    assert decision["candidate"] == "strong"
    assert decision["ranking"] == ["strong", "weak"]
    assert decision["arms"] == ["weak", "strong"]
    assert done.json["explanation"]["summary"]
    assert done.err == ""


@pytest.mark.parametrize("command", ["ask", "route"])
def test_an_unknown_model_is_one_sentence(recorded: Commands, command: str) -> None:
    done = recorded(command, "What is 2 + 2?", "--model", "nobody")
    assert (done.code, done.out) == (1, "")
    assert done.err == "error: the model 'nobody' is not in the panel; known: auto, weak, strong\n"


@pytest.mark.parametrize("arguments", [("ask", "x"), ("route", "x"), ("chat",), ("doctor",)])
def test_with_nothing_to_ask_it_says_what_to_do(suffice: Commands, arguments: tuple[str, ...]) -> None:
    done = suffice(*arguments)
    assert done.code == 1
    said = " ".join((done.out + done.err).split())
    assert "OPENAI_API_KEY" in said and "suffice" in said


def test_an_error_in_the_file_is_one_sentence(suffice: Commands) -> None:
    suffice.write("models:\n  - name: a\n    provider: openai\n    colour: red\n")
    done = suffice("ask", "x")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: suffice.yaml:4: models[0].colour: unknown key")
    assert done.err.count("\n") == 1


def test_an_extra_in_square_brackets_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    from suffice.cli.base import fail

    with pytest.raises(SystemExit):
        fail("pip install 'suffice[local]'")
    assert "suffice[local]" in capsys.readouterr().err


def test_chat_over_a_pipe(recorded: Commands) -> None:
    lines = ("What is 2 + 2?", "/route", "/route Capital of Peru?", "/model weak", "What is 2 + 2?", "/cost",
             "/nonsense", "/model nobody", "/new", "", "/help", "What is unknown?", "Capital of Peru?",
             "/quit", "What is 2 + 2?")  # fmt: skip
    done = recorded("chat", stdin="\n".join(lines))
    assert done.code == 0
    answers = [line for line in done.out.splitlines() if line in ("4", "5", "Lima")]
    assert answers == ["4", "5", "Lima"]
    assert "asking weak; there are: auto, weak, strong" in done.out
    assert "2 answers, $0.0050" in done.out
    assert "there is no /nonsense" in done.err
    assert "there is no nobody" in done.err
    assert "has no answer to this query" in done.err, "an error ends the answer, not the session"


def test_chat_keeps_the_conversation(suffice: Commands, provider: FakeProvider) -> None:
    suffice.write(provider.config)
    done = suffice("chat", stdin="one\ntwo\n/new\nthree\n")
    assert done.out.splitlines() == ["dear says one", "dear says two", "dear says three"]
    asked = [[message["content"] for message in body["messages"]] for body in provider.asked]
    assert asked == [["one"], ["one", "dear says one", "two"], ["three"]]


@pytest.mark.slow
def test_ctrl_c_ends_ask_quietly(suffice: Commands, provider: FakeProvider) -> None:
    suffice.write(provider.config)
    with suffice.start("ask", "stall") as asking:
        assert provider.stalled.wait(60)
        asking.signals(signal.SIGINT)
        assert asking.ends() == 130
        assert "Traceback" not in asking.err
        assert asking.out == ""


@pytest.mark.slow
def test_ctrl_c_stops_an_answer_and_not_the_chat(suffice: Commands, provider: FakeProvider) -> None:
    suffice.write(provider.config)
    with suffice.start("chat") as chatting:
        chatting.types("please stall\n")
        assert provider.stalled.wait(60)
        chatting.signals(signal.SIGINT)
        assert chatting.says("stopped")
        chatting.types("go on\n")
        assert chatting.says("dear says go on")
        chatting.ends_input()
        assert chatting.ends() == 0
        assert "Traceback" not in chatting.err


def test_init_finds_keys_and_writes_no_secret(suffice: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-the-secret")
    monkeypatch.setattr("suffice.starter.detect.served_models", _offline)
    done = suffice("init")
    assert done.code == 0, done.err
    text = (suffice.folder / "suffice.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=suffice.schema.json\n")
    assert "${OPENAI_API_KEY}" in text
    assert "sk-the-secret" not in text + done.out + done.err
    config = load()
    assert [model.provider for model in config.models] == ["openai", "openai"]
    assert config.models[0].api_key == "sk-the-secret"
    assert config.router.path == "router/"
    assert (suffice.folder / "router" / "router.json").is_file()
    assert suffice("route", "What is 2 + 2?").code == 0
    assert suffice("doctor").code == 0


def test_init_refuses_to_overwrite(suffice: Commands) -> None:
    suffice.write("models: []\n")
    done = suffice("init", "--local")
    assert done.code == 1
    assert "--force" in done.err
    assert (suffice.folder / "suffice.yaml").read_text() == "models: []\n"
    assert suffice("init", "--local", "--force").code == 0
    assert len(load().models) == 3


def test_init_leaves_another_router_alone(suffice: Commands) -> None:
    (suffice.folder / "router").mkdir()
    assert suffice("init", "--local").code == 1


def test_init_without_anything_proposes_local_models(suffice: Commands) -> None:
    done = suffice("init")
    assert done.code == 0
    assert "suffice pull all" in done.out
    assert [model.name for model in load().models] == ["small", "small-steps", "large"]


def test_init_finds_servers_that_run_here(
    suffice: Commands, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_HOST", provider.address)
    assert suffice("init").code == 0
    config = load()
    assert {model.name for model in config.models} == {"cheap", "dear"}
    assert {model.provider for model in config.models} == {"vllm"}
    assert suffice("ask", "hello").out == f"{config.models[-1].name} says hello\n"


def test_init_prints_the_schema(suffice: Commands) -> None:
    done = suffice("init", "--schema")
    assert set(done.json["$defs"]["Config"]["properties"]) == set(Config.__struct_fields__) - {"directory"}
    assert not (suffice.folder / "suffice.yaml").exists()


def _offline(*_: object, **__: object) -> tuple[str, ...]:
    raise OSError("no network in tests")


def test_a_found_panel_is_used_without_a_file(
    suffice: Commands, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", provider.address)
    done = suffice("ask", "hello", "--model", "cheap")
    assert done.out == "cheap says hello\n"
    assert "suffice init" in done.err
    assert not (suffice.folder / "suffice.yaml").exists()


class TestDoctor:
    def test_all_is_well(self, recorded: Commands) -> None:
        done = recorded("doctor")
        assert done.code == 0, done.out
        assert "fail" not in done.out
        for check in ("python", "packages", "config", "model weak", "router auto", "policy auto", "store"):
            assert check in done.out
        assert not (recorded.folder / "suffice.db").exists(), "looking changes nothing"

    def test_json_alone_on_stdout(self, recorded: Commands) -> None:
        done = recorded("doctor", "--json")
        assert done.json["is_well"] is True
        assert {finding["status"] for finding in done.json["findings"]} <= {"ok", "warn"}
        assert done.err == ""

    @pytest.mark.parametrize(
        ("text", "name", "said"),
        [
            ("models: [\n", "config", "suffice.yaml:2"),
            ("models: []\n", "models", "no models"),
            (
                "models:\n  - {name: a, provider: openai, api_key: '${NO_SUCH_KEY}'}\n",
                "config",
                "NO_SUCH_KEY",
            ),
            ("models:\n  - {name: a, provider: openai}\n", "model a", "needs an api_key"),
            ("models:\n  - {name: a, provider: opnai}\n", "model a", "opnai"),
            ("models:\n  - {name: small, provider: local}\n", "model small", "no model file"),
            (RECORDED + "router: {name: knn, path: router}\n", "router auto", "router"),
            (RECORDED + "router: {name: knn}\n", "router auto", "must be trained"),
            (RECORDED + "policy: {name: utility, value_usd: -1}\n", "policy auto", "value_usd"),
            (RECORDED + "pipelines: {x: {policy: {name: nonsense}}}\n", "policy x", "nonsense"),
            (RECORDED + "store: sqlite:///no/such/folder/s.db\n", "store", "not there"),
            (RECORDED + "store: mysql://x\n", "store", "names no store"),
            (HOSTED.replace("KEY", "k, options: {sytem: x}"), "model a", "unknown options sytem"),
            (RECORDED + "budgets: [{name: b, usd: 1}]\n", "budgets", "'b' cannot be kept: weak"),
            (
                RECORDED + "budgets: [{name: b, tokens: 9, per: model, only: x}]\n",
                "budgets",
                "not in the panel",
            ),
            (RECORDED + "ledger: mysql://x\n", "budgets", "expected postgresql://"),
            (
                RECORDED + "policy: {name: pilot}\nplan: {name: best_of}\n",
                "policy auto",
                "leave out the plan",
            ),
            (RECORDED + "policy: {name: pilot, path: /proc/x}\n", "policy auto", "nothing can be kept in"),
            (RECORDED + "policy: {name: pilot, d: 5}\n", "config", "unknown parameter 'd'"),
            (
                RECORDED + "policy: {name: pilot}\nembedder_params: {dim: 32}\n",
                "policy auto",
                "unknown parameter 'dim'",
            ),
        ],
    )
    def test_what_is_wrong_fails_with_a_remedy(
        self, recorded: Commands, text: str, name: str, said: str
    ) -> None:
        recorded.write(text)
        done = recorded("doctor", "--json")
        assert done.code == 1
        failed = {f["name"]: f for f in done.json["findings"] if f["status"] == "fail"}
        assert name in failed, done.out
        assert said in failed[name]["detail"]
        assert failed[name]["remedy"]

    @pytest.mark.parametrize(
        ("budgets", "said"),
        [
            ("[{name: b, usd: 1, degrade: 'auto:nope'}]", "'auto:nope', which is no pipeline"),
            ("[{name: b, usd: 1}, {name: b, usd: 2}]", "two budgets have the name 'b'"),
            ("[{name: b, usd: 1}]", ""),
        ],
    )
    def test_budgets_that_up_would_refuse_fail(
        self, suffice: Commands, provider: FakeProvider, budgets: str, said: str
    ) -> None:
        priced = provider.config.replace("    strength", "    max_output_tokens: 4000\n    strength")
        suffice.write(f"{priced}budgets: {budgets}\n")
        (found,) = (f for f in suffice("doctor", "--json").json["findings"] if f["name"] == "budgets")
        assert (found["status"] == "fail") == bool(said) and said in found["detail"]

    def test_an_unknown_price_is_a_warning(self, suffice: Commands) -> None:
        suffice.write("models:\n  - {name: a, provider: vllm, model: my-own}\n")
        done = suffice("doctor", "--json")
        (finding,) = (f for f in done.json["findings"] if f["name"] == "model a")
        assert (done.code, finding["status"]) == (0, "warn")
        assert "input_usd_per_mtok" in finding["remedy"]

    def test_a_damaged_store_fails(self, recorded: Commands) -> None:
        recorded("ask", "What is 2 + 2?")
        assert recorded("doctor").code == 0
        (recorded.folder / "suffice.db").write_bytes(b"SQLite format 3\0" + b"x" * 5000)
        done = recorded("doctor", "--json")
        assert done.code == 1
        assert "store" in [f["name"] for f in done.json["findings"] if f["status"] == "fail"]

    def test_a_taken_port_is_a_warning(self, recorded: Commands, provider: FakeProvider) -> None:
        port = provider.address.rpartition(":")[2]
        recorded.write(RECORDED + f"gateway: {{port: {port}}}\n")
        done = recorded("doctor", "--json")
        assert done.code == 0
        assert [f["name"] for f in done.json["findings"] if f["status"] == "warn"] == ["port"]

    def test_online_asks_for_the_list_of_models(self, suffice: Commands, provider: FakeProvider) -> None:
        suffice.write(provider.config)
        done = suffice("doctor", "--online", "--json")
        endpoints = {
            f["name"]: f["status"] for f in done.json["findings"] if f["name"].startswith("endpoint")
        }
        assert endpoints == {"endpoint cheap": "ok", "endpoint dear": "ok"}
        assert provider.asked == []
        suffice.write(provider.config.replace(provider.address, "127.0.0.1:9"))
        done = suffice("doctor", "--online", "--json")
        assert done.code == 1
        assert "sk-test-secret" not in done.out

    def test_call_asks_for_one_token(self, suffice: Commands, provider: FakeProvider) -> None:
        suffice.write(provider.config)
        done = suffice("doctor", "--call", "--json")
        calls = {f["name"]: f["status"] for f in done.json["findings"] if f["name"].startswith("call")}
        assert calls == {"call cheap": "ok", "call dear": "ok"}
        assert [body["max_tokens"] for body in provider.asked] == [1, 1]


def test_the_version(recorded: Commands) -> None:
    assert recorded("--version").out.startswith("suffice 0.")


def test_a_file_that_cannot_be_written_is_one_sentence(recorded: Commands) -> None:
    done = recorded("data", "build", "gsm8k", "--from", "runs.jsonl", "--out", "/proc/none/queries.jsonl")
    assert done.code == 1
    assert done.err.startswith("error: ")


def test_a_router_that_was_saved_alone_is_served_at_list_prices(suffice: Commands) -> None:
    rows = "".join(f"{i},question {i},small,large,{i % 3 / 2}\n" for i in range(20))
    suffice.write(f"query_id,query,model_a,model_b,pref_b\n{rows}", "pairs.csv")
    trained = suffice("train", "elo", "--preferences", "pairs.csv", "--out", "router", "--json").json
    assert (trained["n_pairs"], trained["arms"]) == (20, ["large", "small"])
    models = "".join(
        f"  - {{name: {name}, provider: openai, model: {model}, api_key: k}}\n"
        for name, model in (("small", "gpt-4o-mini"), ("large", "gpt-4o"))
    )
    suffice.write(f"models:\n{models}router: {{name: elo, path: router}}\n")
    decision = suffice("route", "hello", "--json").json["decision"]
    assert 0 < min(decision["costs_usd"]) < max(decision["costs_usd"])
    (suffice.folder / "router" / "latencies.json").write_text("{}")
    assert "costs.json" in suffice("route", "hello").err, "half of a directory is no router saved alone"


def test_outcomes_beside_preferences_are_golden_labels(suffice: Commands) -> None:
    suffice.write("query_id,query,model_a,model_b,pref_b\n1,hello,small,large,1\n", "pairs.csv")
    suffice.write("query_id,query,model,score\n2,hi,small,1\n2,hi,large,0\n", "golden.csv")
    train = ("train", "elo", "--preferences", "pairs.csv")
    assert suffice(*train, "--data", "golden.csv", "--out", "r", "--json").json["n_pairs"] == 2
    assert "speak of outcomes" in suffice(*train, "--models", "small,large", "--out", "r").err
    assert "nothing to learn from" in suffice("train", "elo", "--out", "r").err
