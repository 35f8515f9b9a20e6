"""The language of Router-R1: think, search by a model, read, answer. No call is made here.

A `Thread` is one conversation with a policy: what it is shown, and what its replies ask for. The plan
`router_r1` and the training of a policy speak the same language through it.

References
----------
Zhang et al. (2025), Router-R1: Teaching LLMs Multi-Round Routing and Aggregation via Reinforcement Learning,
arXiv 2506.09033, section 3 and appendix. Departures: rounds are turns of a chat, so that any provider will
do, rather than one text that is continued; what a policy writes behind its first action is dropped, and a
malformed reply is told what is wrong with it and counts as a round.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from suffice.plans.rounds import listed

PROMPT: Final = """\
Answer the question at the end. First reason inside <think> ... </think>, and again whenever you receive new \
information. If some knowledge is missing, ask one of the models below by writing \
<search> name: question </search> with the exact name of a model and a question that is clear by itself. Its \
reply will be returned between <information> and </information>. Some models know more, some cost less: \
choose the cheapest that is good enough, do not ask for what you know, and do not ask the same again. You \
may ask {most} times at most. When you know enough, write the final answer, complete and in the form that \
the question wants, inside <answer> ... </answer>. Every reply ends with one <search> or one <answer>.

The models:
{models}

Question: {question}"""
STOPS: Final = ("</search>", "</answer>")
_THOUGHT: Final = re.compile(r"<think>.*?</think>", re.DOTALL | re.IGNORECASE)
_ACTION: Final = re.compile(r"<(search|answer)>(.*?)(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE)
_LAST: Final = "Nothing more can be asked. Write the final answer inside <answer> ... </answer> now."


@dataclass(frozen=True)
class Search:
    """A model is to be asked, or, where it has no name, a search engine."""

    model: str
    query: str


@dataclass(frozen=True)
class Finish:
    """The policy's answer."""

    text: str


@dataclass(frozen=True)
class Malformed:
    """Neither; what is wrong, in words for the policy."""

    why: str


Action = Search | Finish | Malformed


class Thread:
    """One conversation with a policy."""

    def __init__(
        self,
        question: str,
        names: Sequence[str],
        *,
        max_steps: int = 4,
        descriptions: Mapping[str, str] | None = None,
        prompt: str = PROMPT,
    ) -> None:
        """
        Parameters
        ----------
        names : of the models that may be asked; without any, what stands in <search> is a search query
        max_steps : replies of the policy, the answer among them, at least 1
        prompt : with {models}, {most} and {question}
        """
        self.names, self.max_steps = tuple(names), max_steps
        filled = {
            "{models}": listed(names, descriptions or {}),
            "{most}": str(max_steps - 1),
            "{question}": question,
        }
        for place, value in filled.items():  # the question last: what it says is not filled in
            prompt = prompt.replace(place, value)
        self.messages: list[Mapping[str, str]] = [{"role": "user", "content": prompt}]
        self.n_steps = 0
        self.informed: list[str] = []
        """What models said, in the order in which they were asked."""
        if max_steps == 1:
            self._told(_LAST)

    @property
    def is_over(self) -> bool:
        """Whether the policy has said all that it may."""
        return self.n_steps >= self.max_steps

    def take(self, reply: str) -> Action:
        """What a reply wants; it becomes part of the conversation as far as its first action."""
        self.n_steps += 1
        bare = _THOUGHT.sub(lambda thought: " " * len(thought[0]), reply)
        found = _ACTION.search(bare)
        kept = reply if found is None else reply[: found.end()].rstrip()
        if found is not None and not kept.casefold().endswith(f"</{found[1].casefold()}>"):
            kept += f"</{found[1].casefold()}>"
        self.messages.append({"role": "assistant", "content": kept})
        if found is None:
            asked = "name: question" if self.names else "query"
            return Malformed(f"there is neither <search> {asked} </search> nor <answer> ... </answer>")
        said = found[2].strip()
        if found[1].casefold() == "answer":
            return Finish(said) if said else Malformed("the answer is empty")
        return self._search(said)

    def inform(self, text: str, *, is_last: bool = False) -> None:
        """Return what a model said; `is_last`: nobody can be asked after it."""
        self.informed.append(text)
        self._told(f"<information>{text}</information>", is_last=is_last)

    def complain(self, why: str, *, is_last: bool = False) -> None:
        """Say why nothing came of a reply."""
        self._told(f"That did not work: {why}.", is_last=is_last)

    def _told(self, text: str, *, is_last: bool = False) -> None:
        if is_last or self.n_steps == self.max_steps - 1 > 0:
            text = f"{text}\n{_LAST}"
        if self.messages[-1]["role"] == "user":
            text = f"{self.messages.pop()['content']}\n\n{text}"
        self.messages.append({"role": "user", "content": text})

    def _search(self, said: str) -> Action:
        if not self.names:
            return Search("", said) if said else Malformed("the search query is empty")
        for name in sorted(self.names, key=len, reverse=True):  # a name may hold a colon, or begin another
            rest = said[len(name) :].lstrip()
            if said.casefold().startswith(name.casefold()) and rest.startswith(":"):
                query = rest[1:].strip()
                return Search(name, query) if query else Malformed(f"the question to {name} is empty")
        name, colon, _ = said.partition(":")
        if not colon:
            return Malformed("between <search> and </search> there must be name: question")
        known = ", ".join(self.names)
        return Malformed(f"no model is called {name.strip()[:80]!r}; there are {known}")
