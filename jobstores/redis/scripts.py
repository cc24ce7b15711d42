"""The Lua scripts: each is one atomic step on the server. No decision is made here, only comparisons.

Two rules hold for all of them. Times, revisions and incarnations are **text**, and stay text: a number is a double in Lua, and exact
only up to 2^53. (The score of a sorted set is a double, too. It is an index only; what counts stands in the record.) And a batch is
**one text** of lines, in both directions: a client in Python takes longer to read a thousand small replies than the server takes to
write what they are about. No id and no record contains a line break (`codec.py`).
"""

from __future__ import annotations

import hashlib
from typing import Final


class Script:
    """A script and the digest by which the server knows it."""

    def __init__(self, text: str) -> None:
        self.text: Final = text.encode()
        self.sha: Final = hashlib.sha1(self.text, usedforsecurity=False).hexdigest()


MARKER_SECONDS: Final = 600
"""A marker is kept so long: the answer to a write is looked for within a few times the store's `timeout`."""


_MANY: Final = """
-- Redis takes at most some thousand arguments from Lua's unpack() at once: call a command for a list of any length. (4,000 is even, so that
-- pairs stay together.)
local function many(command, key, list)
  for first = 1, #list, 4000 do
    redis.call(command, key, unpack(list, first, math.min(first + 3999, #list)))
  end
end

-- The values of a hash, in the order of its fields; false where there is none.
local function values(key, fields)
  local all = {}
  for first = 1, #fields, 4000 do
    local some = redis.call('HMGET', key, unpack(fields, first, math.min(first + 3999, #fields)))
    for place = 1, #some do all[first + place - 1] = some[place] end
  end
  return all
end

-- A text as a line: no id and no record is empty, or has line breaks. What somebody else has written does not move the lines behind it.
local function line(text)
  if text == '' then return '%!' end
  if string.find(text, '\\n', 1, true) then return (string.gsub(text, '\\n', '%%!')) end
  return text
end
"""

_FIRST_AFTER: Final = """
-- The first time behind `now` in some indexes, as text, '' if there is none; and the id and the record that it stands for, as lines, unless
-- it stands for several.
local function first_after(now, from)
  local wake, id = '', nil
  for place = from, #KEYS do
    local first = redis.call('ZRANGEBYSCORE', KEYS[place], '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 2)
    if first[2] and (wake == '' or tonumber(first[2]) < tonumber(wake)) then
      wake = first[2]
      id = first[4] ~= wake and first[1]
    end
  end
  local text = id and redis.call('HGET', KEYS[1], id)
  return wake, text and line(id) .. '\\n' .. line(text) or ''
end
"""

OPEN: Final = Script("""
-- KEYS: version. ARGV: the layout that the client knows. Answers the layout that is there; where there is none, the client's from now on.
local there = redis.call('GET', KEYS[1])
if not there then
  redis.call('SET', KEYS[1], ARGV[1])
  there = ARGV[1]
end
return there
""")

NOW: Final = Script("""
-- KEYS: any of the store's, so that in a cluster the node is asked which has them. Answers seconds and microseconds.
return redis.call('TIME')
""")

LOOK: Final = Script(
    _MANY
    + _FIRST_AFTER
    + """
-- The due records of some executors, at most a page of each; perhaps reserved.
-- KEYS: records, and the index of each executor.
-- ARGV: now; until when to reserve ('' for not at all); how many due records are too few to be worth a reservation;
--       and for each executor: how many due ones to leave out, how many to read, how many of those to reserve.
-- Answers: the first time behind now ('' for none), its id and record; whether they are reserved; and for each executor lines: id, record...
--
-- To reserve is to move the entry in the index: the record stays as it is, and what is due now is not found by others before the
-- reservation ends. Nothing depends on that: whoever writes compares the stamp. A reservation that nobody follows up ends by itself.
local now, reserved_until = ARGV[1], ARGV[2]
local wake, first = first_after(now, 2)
local answer = {wake, first, '0'}
local found, total = {}, 0
for place = 2, #KEYS do
  local at = 3 * place - 2
  local ids = redis.call('ZRANGEBYSCORE', KEYS[place], '-inf', now, 'LIMIT', ARGV[at], ARGV[at + 1])
  found[place] = ids
  total = total + #ids
end
if total == 0 then return answer end

local reserves = reserved_until ~= '' and total > tonumber(ARGV[3])
if reserves then answer[3] = '1' end
for place = 2, #KEYS do
  local ids, lines, moved, strays = found[place], {}, {}, {}
  local texts = values(KEYS[1], ids)
  local reserve = tonumber(ARGV[3 * place])
  for number, id in ipairs(ids) do
    if texts[number] then
      lines[#lines + 1] = line(id)
      lines[#lines + 1] = line(texts[number])
      if reserves and number <= reserve then
        moved[#moved + 1] = reserved_until
        moved[#moved + 1] = id
      end
    else
      strays[#strays + 1] = id -- an entry without its record: somebody has been at the keys by hand
    end
  end
  many('ZADD', KEYS[place], moved)
  many('ZREM', KEYS[place], strays)
  answer[#answer + 1] = table.concat(lines, '\\n')
end
return answer
"""
)

COMMIT: Final = Script(
    _MANY
    + _FIRST_AFTER
    + f"local MARKER_SECONDS = {MARKER_SECONDS}\n"
    + """
-- Write what has become of records, each if its stamp is still the one that was read.
-- KEYS: records, payloads, leases, executors, version, marker of this write, and the indexes that the lines below name by number.
-- ARGV: 1 the name of this write; 2 'each', or 'all': all or none; 3 the layout's version to be there, or '';
--       4 changes, eight lines each: id; stamp that was read ('' for: there is none); index that it was in; index that it belongs in;
--         time in that index ('' for none); end of its lease ('' for none, '-' for: as before); which of the arguments
--         is its new payload ('' for: as before); the record ('' for: it goes);
--       5 reservations to be ended, four lines each: id; stamp that was read; index; time in that index ('' for none);
--       6 now, to be told the first time behind it in the indexes, or '';
--       7 for each index a line: the executor's alias if it may be new, and a line: the earliest time at which something is to be due
--         sooner than before; 8 the channel to tell that on; 9 what is told beside the time; and the payloads from here on.
-- Answers 'done', the lines of ids that were not written, and, if asked for, the first time behind now, its id and record, and '1' if
-- something is due; or, without having written, 'taken', the lines of ids and records that stand in the way of 'all'; 'version' and the
-- layout that is there; or 'fenced'.
local records, payloads, leases, marker = KEYS[1], KEYS[2], KEYS[3], KEYS[6]

-- Who repeats a write because its answer got lost gets the same answer, and nothing is written twice. (FENCE is the other half.)
local latest = redis.call('GET', marker)
if latest then
  local name, state, lost = string.match(latest, '^([^\\n]*)\\n([^\\n]*)\\n(.*)$')
  if name == ARGV[1] then return {state, lost} end
end
if ARGV[3] ~= '' then
  local there = redis.call('GET', KEYS[5])
  if there and there ~= ARGV[3] then return {'version', there} end
end

local ids, changes = {}, {}
for id, seen, from, to, at, lease, payload, text in string.gmatch(ARGV[4],
    '([^\\n]*)\\n([^\\n]*)\\n([^\\n]*)\\n([^\\n]*)\\n([^\\n]*)\\n([^\\n]*)\\n([^\\n]*)\\n([^\\n]*)\\n') do
  ids[#ids + 1] = id
  changes[#changes + 1] = {seen, from, to, at, lease, payload, text}
end
-- The stamp is what a record begins with. ('%!' is that of something that cannot have one: no scheduler has written it, and any may.)
local current = values(records, ids)
local lost, ways = {}, {}
for number, text in ipairs(current) do
  local seen = changes[number][1]
  local same
  if text then
    same = seen == '%!' or seen ~= '' and (string.sub(text, 1, #seen + 1) == seen .. '\\t' or text == seen)
  else
    same = seen == ''
  end
  if not same then
    lost[#lost + 1] = ids[number]
    ways[#ways + 1] = ids[number]
    ways[#ways + 1] = text and line(text) or ''
    changes[number] = false
  end
end
if ARGV[2] == 'all' and #lost > 0 then return {'taken', table.concat(ways, '\\n')} end

-- A push tells those who wait for a later time. Who waits for an earlier one looks then, unless that is past and they are late.
local push = ''
local aliases, sooner = {}, {}
for alias, time in string.gmatch(ARGV[7], '([^\\n]*)\\n([^\\n]*)\\n') do
  aliases[#aliases + 1] = alias
  sooner[#sooner + 1] = time
end
for number, time in ipairs(sooner) do
  if time ~= '' then
    local clock = redis.call('TIME')
    local now = clock[1] .. string.format('%06d', clock[2])
    local index = KEYS[6 + number]
    local future = redis.call('ZRANGEBYSCORE', index, '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
    local overdue = redis.call('ZRANGEBYSCORE', index, '-inf', now, 'LIMIT', 0, 1)
    if overdue[1] or not future[2] or tonumber(time) <= tonumber(future[2]) then
      if push == '' or tonumber(time) < tonumber(push) then push = time end
    end
  end
end

local texts, bodies, gone, without, leased, unleased = {}, {}, {}, {}, {}, {}
local entered, left = {}, {}
for place = 7, #KEYS do
  entered[place], left[place] = {}, {}
end
for number, id in ipairs(ids) do
  local change = changes[number]
  if change then
    local from, to, at, lease, payload, text = tonumber(change[2]), tonumber(change[3]), change[4], change[5], change[6], change[7]
    if text == '' then
      gone[#gone + 1] = id
      without[#without + 1] = id
    else
      texts[#texts + 1] = id
      texts[#texts + 1] = text
      if payload ~= '' then
        bodies[#bodies + 1] = id
        bodies[#bodies + 1] = ARGV[tonumber(payload)]
      end
    end
    if from and (from ~= to or at == '') then
      local list = left[from]
      list[#list + 1] = id
    end
    if at ~= '' then
      local list = entered[to]
      list[#list + 1] = at
      list[#list + 1] = id
    end
    if lease == '' then
      unleased[#unleased + 1] = id
    elseif lease ~= '-' then
      leased[#leased + 1] = lease
      leased[#leased + 1] = id
    end
  end
end

-- Those that were reserved and are left stand where they stood, unless somebody has written them since.
local kept, places = {}, {}
for id, seen, place, at in string.gmatch(ARGV[5], '([^\\n]*)\\n([^\\n]*)\\n([^\\n]*)\\n([^\\n]*)\\n') do
  kept[#kept + 1] = id
  places[#places + 1] = {seen, tonumber(place), at}
end
for number, text in ipairs(values(records, kept)) do
  local seen, place, at = places[number][1], places[number][2], places[number][3]
  if text and at ~= '' and string.sub(text, 1, #seen + 1) == seen .. '\\t' then
    local list = entered[place]
    list[#list + 1] = at
    list[#list + 1] = kept[number]
  end
end

many('HSET', records, texts)
many('HSET', payloads, bodies)
many('HDEL', records, gone)
many('HDEL', payloads, without)
many('ZADD', leases, leased)
many('ZREM', leases, unleased)
for place = 7, #KEYS do
  many('ZREM', KEYS[place], left[place])
  many('ZADD', KEYS[place], entered[place])
  local alias = aliases[place - 6]
  if alias and alias ~= '' then redis.call('SADD', KEYS[4], alias) end
end
if ARGV[3] ~= '' then redis.call('SETNX', KEYS[5], ARGV[3]) end
local names = table.concat(lost, '\\n')
if #ids == 0 or #texts + #gone + #kept > 0 then
  redis.call('SET', marker, ARGV[1] .. '\\ndone\\n' .. names, 'EX', MARKER_SECONDS)
end
-- Not worth failing for: it may be a matter of permissions, and those who are not told look within their poll interval.
if push ~= '' then redis.pcall('PUBLISH', ARGV[8], push .. ' ' .. ARGV[9]) end
if ARGV[6] == '' then return {'done', names} end
local wake, first = first_after(ARGV[6], 7)
local due = ''
for place = 7, #KEYS do
  if redis.call('ZRANGEBYSCORE', KEYS[place], '-inf', ARGV[6], 'LIMIT', 0, 1)[1] then due = '1' end
end
return {'done', names, wake, first, due}
"""
)

FENCE: Final = Script(
    f"local MARKER_SECONDS = {MARKER_SECONDS}\n"
    + """
-- Find out what became of a write whose answer got lost, and see to it that nothing becomes of it any more if nothing has: its request
-- may still be on its way, in a buffer of a server that was frozen, say.
-- KEYS: marker of the write. ARGV: its name. Answers as COMMIT.
local latest = redis.call('GET', KEYS[1])
if latest then
  local name, state, lost = string.match(latest, '^([^\\n]*)\\n([^\\n]*)\\n(.*)$')
  if name == ARGV[1] then return {state, lost} end
end
redis.call('SET', KEYS[1], ARGV[1] .. '\\nfenced\\n', 'EX', MARKER_SECONDS)
return {'fenced', ''}
"""
)

_BODIES: Final = """
-- The payloads of some ids as two texts: their lengths, and all of them one behind the other, since they may hold any bytes.
local function bodies(ids)
  local all, lengths = values(KEYS[2], ids), {}
  for number = 1, #ids do
    all[number] = all[number] or ''
    lengths[number] = #all[number]
  end
  return table.concat(lengths, ' '), table.concat(all)
end
"""

READ: Final = Script(
    _MANY
    + _BODIES
    + """
-- KEYS: records, payloads. ARGV: '1' for the payloads, too; and ids. Answers lines of records, empty where there is none; and payloads.
local ids = {}
for place = 2, #ARGV do ids[#ids + 1] = ARGV[place] end
local texts = values(KEYS[1], ids)
for number = 1, #ids do texts[number] = texts[number] and line(texts[number]) or '' end
if ARGV[1] ~= '1' then return {table.concat(texts, '\\n')} end
return {table.concat(texts, '\\n'), bodies(ids)}
"""
)

READ_PAGE: Final = Script(
    _MANY
    + _BODIES
    + """
-- A page of all records. KEYS: records, payloads. ARGV: cursor; about how many; '1' for the payloads, too.
-- Answers the next cursor ('0' behind the last page), lines of ids and records, and payloads.
local page = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local ids, lines = {}, {}
for place = 1, #page[2], 2 do
  ids[#ids + 1] = page[2][place]
  lines[#lines + 1] = line(page[2][place])
  lines[#lines + 1] = line(page[2][place + 1])
end
lines = table.concat(lines, '\\n')
if ARGV[3] ~= '1' then return {page[1], lines} end
return {page[1], lines, bodies(ids)}
"""
)

LEASED: Final = Script(
    _MANY
    + """
-- KEYS: records, leases. ARGV: until; at most how many. Answers lines of ids and records.
local ids = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
local lines, strays = {}, {}
for number, text in ipairs(values(KEYS[1], ids)) do
  if text then
    lines[#lines + 1] = line(ids[number])
    lines[#lines + 1] = line(text)
  else
    strays[#strays + 1] = ids[number]
  end
end
many('ZREM', KEYS[2], strays)
return table.concat(lines, '\\n')
"""
)

OVERDUE: Final = Script("""
-- KEYS: executors. ARGV: now; what the names of the indexes begin with. Answers the aliases of the executors that have something due.
local overdue = {}
for _, alias in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local first = redis.call('ZRANGEBYSCORE', ARGV[2] .. alias, '-inf', ARGV[1], 'LIMIT', 0, 1)
  if first[1] then overdue[#overdue + 1] = alias end
end
return overdue
""")

CLEAR: Final = Script("""
-- KEYS: executors, records, payloads, leases. ARGV: what the names of the indexes begin with. UNLINK leaves the freeing to another thread.
for _, alias in ipairs(redis.call('SMEMBERS', KEYS[1])) do redis.call('UNLINK', ARGV[1] .. alias) end
return redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
""")
