"""GRPO on a toy: a tiny language model learns whom to ask, from random weights, on one core.

    PYTHONPATH=src python benchmarks/plans/router_r1_training.py [--seeds 3] [--steps 80] [--kl 0.1]

Two kinds of questions. `cheap` (0.001 USD) knows the answers to sums, `dear` (0.01 USD) knows all; nobody
could guess one. The policy is a Llama of 2 layers and 64 dimensions over the toy's own words. Demonstrations
first give it the language: they ask either model at random, and a fifth of them guess. Then GRPO with the
reward of Router-R1 (format, outcome, cost with alpha 0.4, 0 at 0.015 USD). All figures are means over fresh
draws of questions that are in no demonstration and no step of the training (words are, with the other kind).
"""

import argparse
import time

import numpy as np
import torch

from suffice.distillation import RoutePolicy, RouteReward, RouteSchedule, Scene, Task, imitate, learn_to_route
from suffice.distillation.closed_words import ClosedWords, small_speaker
from suffice.distillation.route_episodes import Episode, play
from suffice.routers.pytorch import seeded

PRICES = {"cheap": 0.001, "dear": 0.01}
KINDS = ("sum", "law")
WORDS = tuple(f"w{i}" for i in range(48))
ANSWERS = tuple(f"a{i}" for i in range(12))
PROMPT = "{question}"
GUESSES = 0.2


def tasks(words: tuple[str, ...]) -> list[Task]:
    """Both kinds with every word; which answer is right follows from nothing that can be seen."""
    rng = np.random.default_rng(7)
    return [Task(f"{kind} {word}", str(rng.choice(ANSWERS))) for kind in KINDS for word in words]


def ask(task: Task, model: str, query: str) -> tuple[str, float]:
    """The answer, where the model was asked about the right kind and knows about it; else another one."""
    kind = task.question.split()[0]
    if query.split(maxsplit=1)[0] == kind and (model == "dear" or kind == "sum"):
        return task.reference, PRICES[model]
    place = ANSWERS.index(task.reference) + 1 + len(query) % (len(ANSWERS) - 1)
    return ANSWERS[place % len(ANSWERS)], PRICES[model]


SCENE = Scene(tuple(PRICES), ask, reward=RouteReward(alpha=0.4, dear_usd=0.015), max_steps=3, prompt=PROMPT)


def demonstrations(
    language: ClosedWords, known: list[Task], n: int, seed: int
) -> list[tuple[list[int], list[int]]]:
    """Contexts and replies of episodes that ask at random."""
    rng, made = np.random.default_rng(seed), []
    for _ in range(n):
        task = known[rng.integers(len(known))]
        thread = SCENE.thread(task)
        guess = rng.random() < GUESSES
        model = str(rng.choice(tuple(PRICES)))
        reply = f"<search> {model} : {task.question} </search>"
        if guess:
            reply = f"<answer> {rng.choice(ANSWERS)} </answer>"
        made.append((language.chat(thread.messages), language.encode(reply)))
        if not guess:
            thread.take(reply)
            said, _ = ask(task, model, task.question)
            thread.inform(said)
            made.append((language.chat(thread.messages), language.encode(f"<answer> {said} </answer>")))
    return made


def policy_of(
    seed: int, n_demonstrations: int = 2000, steps: int = 200
) -> tuple[RoutePolicy, list[Task], list[Task]]:
    """A policy that speaks the language; tasks to learn from, and others to judge it by."""
    every = tasks(WORDS)
    rng = np.random.default_rng(seed)
    n = len(WORDS)
    held = {
        k * n + place for k in range(len(KINDS)) for place in rng.choice(n, n // 4, replace=False).tolist()
    }
    learnt = [task for place, task in enumerate(every) if place not in held]
    others = [task for place, task in enumerate(every) if place in held]
    texts = [*(task.question for task in every), *ANSWERS, *PRICES, ": <search> </search> <answer> </answer>",
             "<information> </information>"]  # fmt: skip
    language = ClosedWords(texts)
    policy = RoutePolicy(small_speaker(language, seed=seed), language, max_tokens=12)
    imitate(
        policy, demonstrations(language, learnt, n_demonstrations, seed), steps=steps, rate=2e-3, seed=seed
    )
    return policy, learnt, others


def look(policy: RoutePolicy, others: list[Task], seed: int, n: int = 5) -> list[Episode]:
    with seeded(seed):
        return play(policy, [task for task in others for _ in range(n)], SCENE)


def line(name: str, found: list[Episode]) -> str:
    """Means, and for every kind the share of episodes whose first model was `cheap`."""
    means = np.mean(
        [(e.reward, e.outcome, e.is_well_formed, 1e3 * e.cost_usd, len(e.asked)) for e in found], axis=0
    )
    first = [(e.task.question.split()[0], e.asked[0] == "cheap") for e in found if e.asked]
    shares = [
        np.mean([float(is_cheap) for kind, is_cheap in first if kind == one] or [np.nan]) for one in KINDS
    ]
    return f"{name:>12}" + "".join(f"{value:10.3f}" for value in (*means, *shares))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--kl", type=float, default=0.1)
    wish = parser.parse_args()
    torch.set_num_threads(1)
    schedule = RouteSchedule(steps=wish.steps, tasks=8, group=8, rate=1e-3, kl=wish.kl)
    columns = ("reward", "outcome", "format", "USD/1000", "asked", *(f"{kind}:cheap" for kind in KINDS))
    print(" " * 12 + "".join(f"{name:>10}" for name in columns))
    for seed in range(wish.seeds):
        start = time.process_time()
        policy, learnt, others = policy_of(seed)
        warm = time.process_time() - start
        print(line(f"{seed} before", look(policy, others, 99)), flush=True)
        learn_to_route(policy, learnt, SCENE, RouteSchedule(**{**vars(schedule), "seed": seed}))
        print(line(f"{seed} after", look(policy, others, 99)), flush=True)
        print(f"{'':12}  CPU s: {warm:.0f} demonstrations, {time.process_time() - start - warm:.0f} GRPO")


if __name__ == "__main__":
    main()
