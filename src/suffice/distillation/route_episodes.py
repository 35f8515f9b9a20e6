"""Episodes of a policy that may ask models: side by side, in the language of the plan `router_r1`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from suffice.distillation.route_policy import RoutePolicy, Said
from suffice.distillation.route_reward import RouteReward
from suffice.plans.thinking import PROMPT, Finish, Malformed, Search, Thread


@dataclass(frozen=True)
class Task:
    """A question whose answer is known."""

    question: str
    reference: str


Ask = Callable[[Task, str, str], tuple[str, float]]
"""(task, model, query) -> what the model says, and its cost in USD: recorded, simulated, or a real call."""
Grade = Callable[[str, str], float]
"""(answer, reference) -> quality in [0, 1]."""


def exact_match(answer: str, reference: str) -> float:
    """1 where both are the same words.

    Examples
    --------
    >>> exact_match(" The Moon. ", "the moon")
    1.0
    """
    return float(_plain(answer) == _plain(reference))


@dataclass(frozen=True)
class Scene:
    """What episodes are played in."""

    names: Sequence[str]
    """Of the models that may be asked."""
    ask: Ask
    grade: Grade = exact_match
    reward: RouteReward = field(default_factory=RouteReward)
    max_steps: int = 4
    descriptions: Mapping[str, str] = field(default_factory=dict)
    prompt: str = PROMPT

    def thread(self, task: Task) -> Thread:
        """A conversation about a task, as the plan begins it."""
        return Thread(
            task.question,
            self.names,
            max_steps=self.max_steps,
            descriptions=self.descriptions,
            prompt=self.prompt,
        )


@dataclass
class Episode:
    """One task from the question to the answer, or to the cap."""

    task: Task
    said: list[Said] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """Models, in their order."""
    cost_usd: float = 0.0
    answer: str | None = None
    is_well_formed: bool = True
    """Every reply was an action, and the last one an answer."""
    outcome: float = 0.0
    reward: float = 0.0


def play(
    policy: RoutePolicy, tasks: Sequence[Task], scene: Scene, *, is_greedy: bool = False
) -> list[Episode]:
    """An episode for every task, all at once, a reply of each at a time."""
    episodes = [Episode(task) for task in tasks]
    threads = [scene.thread(task) for task in tasks]
    left = list(range(len(tasks)))
    while left:
        contexts = [policy.language.chat(threads[place].messages) for place in left]
        for place, said in zip(left, policy.say(contexts, is_greedy=is_greedy), strict=True):
            episodes[place].said.append(said)
            _act(episodes[place], threads[place], policy.language.decode(said.reply), scene)
        left = [place for place in left if episodes[place].answer is None and not threads[place].is_over]
    for episode in episodes:
        episode.is_well_formed &= episode.answer is not None
        if episode.answer is not None:
            episode.outcome = scene.grade(episode.answer, episode.task.reference)
        episode.reward = scene.reward.of(episode.is_well_formed, episode.outcome, episode.cost_usd)
    return episodes


def _act(episode: Episode, thread: Thread, reply: str, scene: Scene) -> None:
    action = thread.take(reply)
    if isinstance(action, Finish):
        episode.answer = action.text
    elif isinstance(action, Malformed):
        episode.is_well_formed = False
        thread.complain(action.why)
    elif isinstance(action, Search) and not thread.is_over:
        text, cost = scene.ask(episode.task, action.model, action.query)
        episode.asked.append(action.model)
        episode.cost_usd += cost
        thread.inform(text)


def _plain(text: str) -> str:
    return " ".join("".join(sign if sign.isalnum() else " " for sign in text.casefold()).split())
