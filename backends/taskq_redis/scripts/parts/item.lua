-- What lies in the list of a time, as `item.py` writes and reads it; the two must agree.
local function end_of_string(text, quote)
  local at = quote + 1
  while true do
    local mark = string.find(text, '["\\]', at)
    if string.byte(text, mark) == 34 then
      return mark
    end
    at = mark + 2
  end
end

-- A JSON object without its member `queue`, a string; of several the last, which is the one that counts.
local function without_queue(text)
  local byte, find, match, sub = string.byte, string.find, string.match, string.sub
  local depth, at, first, last = 0, 1, 1, 0
  while true do
    local mark = find(text, '["%[%]{}]', at)
    if not mark then
      break
    end
    local char, close = byte(text, mark), mark
    if char == 34 then
      close = end_of_string(text, mark)
      if depth == 1 and close - mark == 6 and sub(text, mark, close) == '"queue"' then
        local _, quote = find(text, '^[ \t\n\r]*:[ \t\n\r]*"', close + 1)
        if quote then
          first, last = mark, end_of_string(text, quote)
        end
      end
    else
      depth = depth + ((char == 91 or char == 123) and 1 or -1)
    end
    at = close + 1
  end
  local head, tail = sub(text, 1, first - 1), sub(text, last + 1)
  local before = match(head, '^(.*),[ \t\n\r]*$')
  if before then
    return before .. tail
  end
  return head .. (match(tail, '^[ \t\n\r]*,[ \t\n\r]*(.*)$') or tail)
end

local function from_base64(text)
  local digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
  local out, bits, have = {}, 0, 0
  for i = 1, #text do
    local digit = string.find(digits, string.sub(text, i, i), 1, true)
    if digit then
      bits, have = bits * 64 + digit - 1, have + 6
      if have >= 8 then
        have = have - 8
        local unit = 2 ^ have
        out[#out + 1] = string.char(math.floor(bits / unit))
        bits = bits % unit
      end
    end
  end
  return table.concat(out)
end

-- The queue and the payload of an item; nothing where it is no JSON object or says no queue.
local function split(item)
  local match = string.match
  if not match(item, '^[ \t\n\r]*{') then
    return
  end
  local wrapped, exact = match(item, '^{"class":"","args":%[%],"raw":"([A-Za-z0-9+/=]*)",(.*)$')
  if wrapped then
    local name = match(exact, '^"queue":"([^"\\]+)"}$')
    if name then
      return name, from_base64(wrapped)
    end
    name = match(exact, '^"queue_bytes":"([A-Za-z0-9+/=]*)","queue":"[^"\\]+"}$')
    if name then
      return from_base64(name), from_base64(wrapped)
    end
  end
  local is, object = pcall(cjson.decode, item)
  if not is and not cjson.decode_max_depth then -- fakeredis, whose integers have 63 bits
    is, object = pcall(cjson.decode, (string.gsub(item, string.rep('%d', 18) .. '+', '1')))
  end
  local queue = is and type(object) == 'table' and object.queue
  if type(queue) ~= 'string' or queue == '' then
    return
  end
  local head, name, tail = match(item, '^(.*),"queue":"([^"\\]*)"}([ \t\n\r]*)$')
  if head then
    return name, head .. '}' .. tail
  end
  return queue, without_queue(item)
end
