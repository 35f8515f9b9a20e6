"""A policy that learns whom to ask: objective, reward, episodes, and that training raises the reward."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suffice.distillation import (
    Episode,
    RoutePolicy,
    RouteReward,
    RouteSchedule,
    Scene,
    Task,
    exact_match,
    group_advantages,
    grpo_loss,
    imitate,
    learn_to_route,
    play,
)
from suffice.distillation.closed_words import ClosedWords, small_speaker
from suffice.distillation.route_policy import Said
from suffice.distillation.route_tuning import RouteProgress
from suffice.errors import ConfigError, DataError
from suffice.plans.router_r1 import RouterR1
from suffice.types import Answer, Options, Query
from test_plans import Talker, do

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

ANSWERS = ("a0", "a1", "a2", "a3", "a4", "a5")
TASKS = [Task(f"sum w{i}", ANSWERS[i * 5 % 6]) for i in range(8)]
LANGUAGE = ClosedWords(
    [
        *(task.question for task in TASKS),
        *ANSWERS,
        "cheap dear : <search> </search> <information> </information> <answer> </answer>",
    ]
)


def ask(task: Task, model: str, query: str) -> tuple[str, float]:
    return (task.reference, 0.01) if model == "dear" else ("a0", 0.001)


SCENE = Scene(
    ("cheap", "dear"), ask, reward=RouteReward(alpha=0.2, dear_usd=0.02), max_steps=3, prompt="{question}"
)

# --- the objective and the reward


def test_advantages_are_within_groups() -> None:
    found = group_advantages(np.array([[1.0, 0.0, 0.5], [2.0, 2.0, 2.0]]))
    assert found[0].mean() == pytest.approx(0.0)
    assert found[0].std() == pytest.approx(1.0)
    assert found[1].tolist() == [0.0, 0.0, 0.0]


def test_the_loss_is_that_of_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    new, old, reference = (rng.normal(-1, 0.5, (4, 6)) for _ in range(3))
    advantages, weights = rng.normal(size=4), rng.random((4, 6))
    clip, kl = 0.2, 0.3
    wanted = 0.0
    for i in range(4):
        for j in range(6):
            ratio = math.exp(new[i, j] - old[i, j])
            gain = min(ratio * advantages[i], min(max(ratio, 1 - clip), 1 + clip) * advantages[i])
            apart = reference[i, j] - new[i, j]
            wanted -= weights[i, j] * (gain - kl * (math.exp(apart) - apart - 1))
    given = [torch.tensor(x) for x in (new, old, reference, advantages[:, None], weights)]
    assert float(grpo_loss(*given, clip=clip, kl=kl)) == pytest.approx(wanted)


def test_what_went_well_becomes_likelier() -> None:
    logits = torch.zeros(2, 3, requires_grad=True)
    found = logits.log_softmax(1)[:, :1]
    weights = torch.tensor([[1.0], [0.0]])
    grpo_loss(found, found.detach(), None, torch.tensor([[1.0], [1.0]]), weights, clip=0.2, kl=0.0).backward()
    assert logits.grad is not None
    assert logits.grad[0, 0] < 0 < logits.grad[0, 1]
    assert logits.grad[1].abs().sum() == 0, "padding teaches nothing"


def test_the_reward_weighs_form_outcome_and_cost() -> None:
    reward = RouteReward(alpha=0.4, dear_usd=0.01)
    assert reward.of(False, 1.0, 0.0) == -1.0
    assert reward.of(True, 1.0, 0.0) == pytest.approx(1.0)
    assert reward.of(True, 1.0, 0.005) == pytest.approx(0.8)
    assert reward.of(True, 0.0, 9.0) == 0.0
    for alpha, dear in ((1.0, 0.01), (-0.1, 0.01), (0.3, 0.0)):
        with pytest.raises(ConfigError):
            RouteReward(alpha, dear)


# --- episodes


class Scripted:
    """A policy whose replies are given."""

    language = LANGUAGE

    def __init__(self, *rounds: Sequence[str]) -> None:
        self.left = list(rounds)
        self.contexts: list[Sequence[Sequence[int]]] = []

    def say(self, contexts: Sequence[Sequence[int]], *, is_greedy: bool = False) -> list[Said]:
        self.contexts.append(contexts)
        texts = self.left.pop(0)
        assert len(texts) == len(contexts)
        return [Said(one, LANGUAGE.encode(text), ()) for one, text in zip(contexts, texts, strict=True)]


def played(*rounds: Sequence[str], scene: Scene = SCENE) -> tuple[list[Episode], Scripted]:
    policy: Any = Scripted(*rounds)
    return play(policy, TASKS[: len(rounds[0])], scene), policy


def test_episodes_end_one_by_one() -> None:
    found, policy = played(
        [
            "<answer> a1 </answer>",
            "<search> dear : sum w1 </search>",
            "cheap",
            "<search> cheap : w2 </search>",
        ],
        [f"<answer> {TASKS[1].reference} </answer>", "<answer> a4 </answer>", "<search> dear : w2 </search>"],
        ["<search> dear : w3 </search>"],
    )
    assert [one.is_well_formed for one in found] == [True, True, False, False]
    assert [one.outcome for one in found] == [0.0, 1.0, 1.0, 0.0]
    assert [one.asked for one in found] == [[], ["dear"], [], ["cheap", "dear"]]
    assert [round(one.cost_usd, 3) for one in found] == [0.0, 0.01, 0.0, 0.011]
    assert [round(one.reward, 3) for one in found] == [0.2, 0.9, -1.0, -1.0]
    assert [len(one.said) for one in found] == [1, 2, 2, 3]
    told = LANGUAGE.decode(policy.contexts[1][0])
    assert told.endswith(f"<information> {TASKS[1].reference} </information>")


def test_unknown_models_are_malformed() -> None:
    (found,), _ = played(["<search> huge : w1 </search>"], ["<answer> a0 </answer>"])
    assert (found.is_well_formed, found.asked, found.answer) == (False, [], "a0")


def test_progress_is_the_mean_of_episodes() -> None:
    episodes = [
        Episode(TASKS[0], reward=1.0, outcome=1.0, cost_usd=0.01),
        Episode(TASKS[0], is_well_formed=False, reward=-1.0),
    ]
    assert RouteProgress.of(3, episodes) == RouteProgress(3, 0.0, 0.5, 0.5, 0.005)
    assert [exact_match(*pair) for pair in (("A b!", "a  b"), ("a", "b"), ("", ""))] == [1.0, 0.0, 1.0]


# --- a language model


def policy_of(seed: int = 0, max_tokens: int = 10) -> RoutePolicy:
    return RoutePolicy(small_speaker(LANGUAGE, seed=seed), LANGUAGE, max_tokens=max_tokens)


def demonstrations(n: int = 200, guesses: float = 0.5) -> list[tuple[list[int], list[int]]]:
    rng, made = np.random.default_rng(0), []
    for _ in range(n):
        task = TASKS[rng.integers(len(TASKS))]
        thread = SCENE.thread(task)
        reply = f"<search> {rng.choice(SCENE.names)} : {task.question} </search>"
        if rng.random() < guesses:
            reply = f"<answer> {rng.choice(ANSWERS)} </answer>"
        made.append((LANGUAGE.chat(thread.messages), LANGUAGE.encode(reply)))
        if "search" in reply:
            thread.take(reply)
            said = str(rng.choice(ANSWERS))
            thread.inform(said)
            made.append((LANGUAGE.chat(thread.messages), LANGUAGE.encode(f"<answer> {said} </answer>")))
    return made


def test_replies_do_not_depend_on_their_neighbours() -> None:
    policy = policy_of()
    contexts = [
        LANGUAGE.chat([{"role": "user", "content": text}]) for text in ("sum", "sum w1 w2 w3 w4", "a1")
    ]
    together = policy.say(contexts, is_greedy=True)
    alone = [policy.say([one], is_greedy=True)[0] for one in contexts]
    assert [one.reply for one in together] == [one.reply for one in alone]
    for one, other in zip(together, alone, strict=True):
        assert one.log_probs == pytest.approx(other.log_probs, abs=1e-4)
        assert len(one.log_probs) == len(one.reply) > 0


def test_log_probabilities_are_the_models_own() -> None:
    policy = policy_of()
    (said,) = policy.say([LANGUAGE.chat([{"role": "user", "content": "sum w1"}])])
    rows = torch.tensor([[*said.context, *said.reply]])
    every = policy.lm(input_ids=rows).logits.log_softmax(2)[0].detach()
    wanted = [float(every[len(said.context) - 1 + at, token]) for at, token in enumerate(said.reply)]
    assert said.log_probs == pytest.approx(wanted, abs=1e-4)
    assert policy.log_probs([said], is_reference=True)[0].tolist() == pytest.approx(wanted, abs=1e-4)


def test_training_raises_the_reward_and_the_plan_speaks_the_same_language(tmp_path: Path) -> None:
    policy = policy_of()
    imitate(policy, demonstrations(guesses=0.7), steps=60, batch=16, rate=3e-3)
    schedule = RouteSchedule(steps=20, tasks=4, group=8, rate=2e-3, kl=0.0)
    told = learn_to_route(policy, TASKS, SCENE, schedule)
    before, after = (np.mean([one.reward for one in part]) for part in (told[:3], told[-3:]))
    assert after > before + 0.15

    class Spoken(Talker):
        """The policy as a candidate."""

        async def answer(self, query: Query, options: Options) -> Answer:
            (said,) = policy.say([LANGUAGE.chat(query.messages)], is_greedy=True)
            self._says = lambda query, options: LANGUAGE.decode(said.reply)
            return await super().answer(query, options)

    plan = RouterR1("policy", models=["cheap", "dear"], max_steps=3)
    dear = Talker("dear", "a3")
    done = do(plan, [Spoken("policy"), Talker("cheap", "a0"), dear], Query(text=TASKS[2].question))
    assert done.asked[0] == ("policy", "think")
    assert done.answer is not None

    policy.save(tmp_path)
    assert (tmp_path / "model.safetensors").is_file()


def test_the_same_seed_gives_the_same_policy() -> None:
    told = []
    for _ in range(2):
        policy = policy_of()
        imitate(policy, demonstrations(40), steps=5)
        told.append(learn_to_route(policy, TASKS, SCENE, RouteSchedule(steps=2, tasks=2, group=4, rate=1e-3)))
    assert told[0] == told[1]


def test_what_makes_no_sense_is_an_error() -> None:
    policy = policy_of()
    with pytest.raises(DataError):
        learn_to_route(policy, [], SCENE)
    with pytest.raises(DataError):
        imitate(policy, [], steps=1)
    for wrong in ({"group": 1}, {"steps": 0}, {"rate": 0.0}, {"kl": -1.0}, {"clip": 0.0}):
        with pytest.raises(ConfigError):
            RouteSchedule(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError):
        RoutePolicy.open("no/such/directory")
