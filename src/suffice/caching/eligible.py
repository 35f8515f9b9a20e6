"""Which requests may be answered from a cache at all, and which answers may be kept.

An answer that depends on who asks or when is wrong for the next one, however alike the words are.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from suffice.types import Answer, Options, Query

MAX_TEMPERATURE: Final = 1.0

_PERSONAL: Final = re.compile(
    r"\b(?:my|mine|our|ours|myself|ourselves|mein|meine[mnrs]?|unser[emns]?|mon|mes|notre|nos|mis?|mío|mía"
    r"|nuestr[oa]s?|minha|meu|meus|minhas|nosso|nossa|mio|mia|miei|nostro|nostra|мой|моя|моё|мои|моего|моей"
    r"|наш|наша|наши|benim|bizim)\b"
    r"|我的|我们的|我們的|私の|僕の|俺の|うちの|우리|(?:^|\s)(?:내|제)\s|मेर[ाीे]|हमार[ाीे]"
    r"|\b(?:who|where|what|how old|how tall) am i\b|\b(?:know|remember|tell me) (?:\w+ ){0,2}about me\b"
    r"|\b(?:wer|wo) bin ich\b|\b(?:qui|où) suis-je\b|quién soy|dónde estoy|quem sou eu|chi sono io"
    r"|我是谁|\bкто я\b"
    r"|[\w.+-]{1,64}@[\w-]+\.\w"  # an address
    r"|(?:order|account|invoice|ticket|booking|reservation|tracking|customer|policy)\s*(?:no\.?|number|id|#)",
    re.IGNORECASE,
)
_TRADED: Final = "bitcoin|btc|ethereum|ether|dogecoin|gold|silver|oil|gas|petrol|diesel|stock|share"
_CONTESTS: Final = (
    "elections?|world cup|super bowl|olympics|olympic games|championship|champions league|grand prix|games?"
    "|match|race|final|season|episode|release|version|meeting|update"
)
_DAYS: Final = "monday|tuesday|wednesday|thursday|friday|saturday|sunday"
_TIME_BOUND: Final = re.compile(
    r"\b(?:today|tonight|tomorrow|yesterday|now|nowadays|currently|the current|latest|newest|recent|recently"
    r"|lately|upcoming|breaking|at the moment|right away|so far|as of|up[- ]to[- ]date|weather|forecast|ago"
    r"|(?:this|next|last|past|coming) (?:hour|morning|afternoon|evening|night|week|weekend|month|quarter|year"
    rf"|season|{_DAYS})|what (?:time|day|date) is it|exchange rate"
    rf"|(?:{_TRADED})(?: |'s |s )?(?:price|worth|value|rate|cost)s?"
    rf"|(?:price|value|worth) of (?:an? |one |the )?(?:{_TRADED})"
    rf"|how much (?:do|does|is|are|for) (?:an? |one |the |\w+ of )?(?:{_TRADED})s?"
    rf"|(?:last|latest|next|previous|most recent) (?:\w+ ){{0,2}}(?:{_CONTESTS})"
    r"|heute|morgen|gestern|jetzt|aktuell\w*|derzeit|neueste\w*|aujourd'hui|demain|maintenant|actuel\w*"
    r"|hoy|mañana|ayer|ahora|actual(?:mente|es)|hoje|amanhã|ontem|agora|atual\w*|oggi|domani|ieri|adesso"
    r"|attual\w*|сегодня|завтра|вчера|сейчас|последн\w+|bugün|yarın|dün|şimdi|اليوم|غدا|أمس|الآن)\b"
    r"|今天|明天|昨天|现在|現在|目前|最新|最近|今日|明日|昨日|今年|去年|오늘|내일|어제|지금|현재|आज|अभी",
    re.IGNORECASE,
)
_REFUSAL: Final = re.compile(
    r"\W{0,9}(?:i['’]?m (?:very |really |so )?sorry|sorry,? but|i apologi[sz]e|as an ai\b"
    r"|i can(?:no|['’])t (?:help|assist|answer|provide|do|comply)|i(?: am|['’]m) (?:unable|not able) to"
    r"|i do(?: not|n['’]t) have (?:access|information|enough)"
    r"|es tut mir leid|désolé|lo siento|desculpe|mi dispiace|извините|抱歉|对不起|對不起|申し訳)",
    re.IGNORECASE,
)


class Allowed(msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """What may be kept although it is risky; nothing is by default."""

    personal: bool = False
    """Requests that speak of what belongs to the one who asks, or name an address or an order."""
    time_bound: bool = False
    """Requests whose answer changes with the day."""
    tools: bool = False
    """Requests that offer tools. An answer that calls one is never kept."""
    max_temperature: float = MAX_TEMPERATURE
    """Above it, another answer each time is what is wanted."""


def why_not(query: Query, options: Options, allowed: Allowed = Allowed()) -> str | None:  # noqa: B008
    """Why this request may not be answered from a cache, nor its answer kept; None: it may.

    Examples
    --------
    >>> why_not(Query(text="Where is my order?"), Options())
    'personal'
    >>> why_not(Query(text="What is the capital of Peru?"), Options()) is None
    True
    """
    fields = options.fields
    temperature = fields.get("temperature")
    many = fields.get("n")
    if isinstance(many, int) and many > 1:
        return "more than one answer is wanted"
    if options.wants_logprobs:
        return "token probabilities are wanted"
    if isinstance(temperature, int | float) and temperature > allowed.max_temperature:
        return "a high temperature"
    if not allowed.tools and _uses_tools(query, options):
        return "tools"
    if not query.text.strip():
        return "no text"
    if not allowed.personal and _PERSONAL.search(query.text):
        return "personal"
    if not allowed.time_bound and _TIME_BOUND.search(query.text):
        return "time-bound"
    return None


def why_not_kept(answer: Answer) -> str | None:
    """Why this answer is not to be kept; None: it may be."""
    if answer.tool_calls:
        return "it calls a tool"
    if answer.finish_reason != "stop":
        return f"it ended by {answer.finish_reason or 'no known reason'}"
    if not answer.content.strip():
        return "it is empty"
    if _REFUSAL.match(answer.content):
        return "it is a refusal"
    return None


def _uses_tools(query: Query, options: Options) -> bool:
    offered = options.fields.get("tools") or options.fields.get("functions")
    if offered and options.fields.get("tool_choice") != "none":
        return True
    return "tools" in query.needs or any(
        message.get("role") in ("tool", "function") or message.get("tool_calls") for message in query.messages
    )
