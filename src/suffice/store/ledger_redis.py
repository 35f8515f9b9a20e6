"""The ledger of several machines on Redis or Valkey: a batch is one Lua script, which nothing interrupts.

A hash per account holds what is spent, reserved and lost by period; a string per reservation its claims, and
a sorted set when leases end. Lua's numbers are exact only to 2^53, pico-dollars are not that small: sums are
computed in two halves of nine decimal digits, and written by Redis' own 64-bit addition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from suffice.budgets import Budget, Operation, Outcome, Reserve, Use
from suffice.errors import LedgerAway, MissingDependency

_PREFIX: Final = "{suffice}:budget:"
"""Of all keys; the braces keep them on one node of a cluster."""
_TIMEOUT_S: Final = 5.0
_KEEP_S: Final = 86400
"""How long what counts no more is kept, for clocks that jump and processes that are late."""
_GRACE_S: Final = 10
"""So long after the server's start no lease ends: what was settled while it was away comes first."""

_SCRIPT: Final = """
local prefix, keep, grace = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1e6

local function halves(text)
  if #text <= 9 then return 0, tonumber(text) end
  return tonumber(string.sub(text, 1, -10)), tonumber(string.sub(text, -9))
end

local function joined(high, low)
  high = high + math.floor(low / 1000000000)
  low = low % 1000000000
  if high == 0 then return string.format('%d', low) end
  return string.format('%d%09d', high, low)
end

local function exceeds(parts, limit)
  local high, low = 0, 0
  for _, text in ipairs(parts) do
    local h, l = halves(text)
    high, low = high + h, low + l
  end
  high, low = high + math.floor(low / 1000000000), low % 1000000000
  local lh, ll = halves(limit)
  return high > lh or (high == lh and low > ll)
end

local function sums(claim)
  local key = prefix .. 'use:' .. claim[1]
  if claim[3] == claim[4] then
    local found = redis.call('HMGET', key, claim[2] .. ':s', claim[2] .. ':r')
    return found[1] or '0', found[2] or '0', ''
  end
  local since, till, oldest = tonumber(claim[3]), tonumber(claim[4]), nil
  local sh, sl, rh, rl = 0, 0, 0, 0
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    local period, kind = string.match(all[i], '^(-?%d+):(%a)$')
    local at = tonumber(period)
    if kind ~= 'l' and at >= since and at <= till and all[i + 1] ~= '0' then
      local h, l = halves(all[i + 1])
      if kind == 's' then sh, sl = sh + h, sl + l else rh, rl = rh + h, rl + l end
      if oldest == nil or at < oldest then oldest = at end
    end
  end
  return joined(sh, sl), joined(rh, rl), oldest and string.format('%d', oldest) or ''
end

local function less(amount)
  return amount == '0' and amount or '-' .. amount
end

local function add(claim, kind, amount)
  redis.call('HINCRBY', prefix .. 'use:' .. claim[1], claim[2] .. ':' .. kind, amount)
end

local function tidy(claim)
  local lasts = tonumber(claim[8])
  if lasts == 0 then return end
  local key = prefix .. 'use:' .. claim[1]
  for _, field in ipairs(redis.call('HKEYS', key)) do
    if tonumber(string.match(field, '^(-?%d+)')) < tonumber(claim[2]) - lasts - keep then
      redis.call('HDEL', key, field)
    end
  end
end

local function expire(id)
  local name = prefix .. 'hold:' .. id
  local text = redis.call('GET', name)
  redis.call('ZREM', prefix .. 'open', id)
  if not text then return end
  local hold = cjson.decode(text)
  for _, claim in ipairs(hold.claims) do
    add(claim, 'r', less(claim[5]))
    add(claim, 'l', claim[5])
    if claim[7] == '1' then add(claim, 's', claim[5]) end
    tidy(claim)
  end
  hold.is_expired = true
  redis.call('SET', name, cjson.encode(hold), 'EX', keep)
end

local function reserve(operation)
  local used = {}
  for place, claim in ipairs(operation.claims) do
    local spent, reserved, oldest = sums(claim)
    used[place] = {spent, reserved}
    if claim[6] ~= '' and exceeds({spent, reserved, claim[5]}, claim[6]) then
      return {used, place - 1, oldest}
    end
  end
  for _, claim in ipairs(operation.claims) do add(claim, 'r', claim[5]) end
  redis.call('SET', prefix .. 'hold:' .. operation.id, cjson.encode({claims = operation.claims}))
  redis.call('ZADD', prefix .. 'open', now + operation.lease, operation.id)
  return {used, -1, ''}
end

local function settle(operation)
  local name = prefix .. 'hold:' .. operation.id
  local text = redis.call('GET', name)
  if not text then return end
  local hold = cjson.decode(text)
  for place, claim in ipairs(hold.claims) do
    local amount = operation.used[place] or '0'
    if hold.is_expired then
      add(claim, 'l', less(claim[5]))
      if claim[7] == '1' then add(claim, 's', less(claim[5])) end
    else
      add(claim, 'r', less(claim[5]))
    end
    add(claim, 's', amount)
  end
  redis.call('ZREM', prefix .. 'open', operation.id)
  redis.call('DEL', name)
end

local function is_fresh()
  local info = redis.pcall('INFO', 'server')
  local up = type(info) == 'string' and string.match(info, 'uptime_in_seconds:(%d+)')
  return up and tonumber(up) < grace
end

local ended = redis.call('ZRANGEBYSCORE', prefix .. 'open', '-inf', '(' .. now, 'LIMIT', 0, 1000)
if #ended > 0 and not is_fresh() then
  for _, id in ipairs(ended) do expire(id) end
end
local outcomes = {}
for place, operation in ipairs(cjson.decode(ARGV[2])) do
  if operation.claims then
    outcomes[place] = reserve(operation)
  else
    settle(operation)
    outcomes[place] = {{}, -1, ''}
  end
end
return cjson.encode(outcomes)
"""


class RedisLedger:
    """Keys below `{suffice}:budget:`. Leases run on the server's clock.

    What a crash of the server loses is Redis' own setting: `appendfsync everysec` keeps all but a second.
    """

    def __init__(self, url: str) -> None:
        """
        Raises
        ------
        MissingDependency
            Without redis-py.
        """
        try:
            import redis.asyncio
            from redis.asyncio.retry import Retry
            from redis.backoff import NoBackoff
        except ImportError:
            raise MissingDependency("redis", "redis", "a ledger on Redis") from None
        self._error = redis.RedisError
        self._redis: Any = redis.asyncio.Redis.from_url(
            url,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
            decode_responses=True,
            retry=Retry(NoBackoff(), 0),  # a script that was sent twice would reserve twice
        )
        self._script = self._redis.register_script(_SCRIPT)

    async def apply(self, operations: Sequence[Operation]) -> list[Outcome]:
        sent = msgspec.json.encode([_written(operation) for operation in operations])
        keys = [f"{_PREFIX}open"]
        said = await self._asked(self._script(keys=keys, args=[_PREFIX, sent, _KEEP_S, _GRACE_S]))
        found = msgspec.json.decode(said)
        return [_outcome(operation, entry) for operation, entry in zip(operations, found, strict=True)]

    async def uses(self) -> Mapping[tuple[str, int], Use]:
        found: dict[tuple[str, int], Use] = await self._asked(self._uses())
        return found

    async def budgets(self) -> list[Budget]:
        found = await self._asked(self._redis.hgetall(f"{_PREFIX}set"))
        return [msgspec.json.decode(found[name], type=Budget) for name in sorted(found)]

    async def set_budget(self, budget: Budget) -> None:
        await self._asked(self._redis.hset(f"{_PREFIX}set", budget.name, msgspec.json.encode(budget)))

    async def clear_budget(self, name: str) -> bool:
        return bool(await self._asked(self._redis.hdel(f"{_PREFIX}set", name)))

    async def close(self) -> None:
        await self._redis.aclose()

    async def _uses(self) -> dict[tuple[str, int], Use]:
        start = f"{_PREFIX}use:"
        amounts: dict[tuple[str, int], dict[str, int]] = {}
        async for key in self._redis.scan_iter(match=f"{start}*", count=500):
            for field, value in (await self._redis.hgetall(key)).items():
                period, _, kind = field.partition(":")
                amounts.setdefault((key.removeprefix(start), int(period)), {})[kind] = int(value)
        return {key: Use(of.get("s", 0), of.get("r", 0), of.get("l", 0)) for key, of in amounts.items()}

    async def _asked(self, work: Any) -> Any:
        try:
            return await work
        except (self._error, OSError) as error:
            raise LedgerAway(f"the ledger on Redis: {error}") from error


def _written(operation: Operation) -> dict[str, Any]:
    """Every number that Lua could round as text."""
    if not isinstance(operation, Reserve):
        return {"id": operation.id, "used": [str(amount) for amount in operation.used]}
    claims = [
        (
            claim.account,
            str(claim.period),
            str(claim.since),
            str(claim.until),
            str(claim.amount),
            "" if claim.limit is None else str(claim.limit),
            "1" if claim.charges_lost else "0",
            str(claim.lasts_s),
        )
        for claim in operation.claims
    ]
    return {"id": operation.id, "claims": claims, "lease": operation.lease_s}


def _outcome(operation: Operation, entry: list[Any]) -> Outcome:
    used, place, oldest = entry
    if not isinstance(operation, Reserve) or not used:
        return Outcome()
    found = [(int(spent), int(reserved)) for spent, reserved in used]
    if place >= 0:
        return Outcome(tuple(found), place, int(oldest) if oldest else None)
    return Outcome(
        tuple((s, r + claim.amount) for (s, r), claim in zip(found, operation.claims, strict=True))
    )
