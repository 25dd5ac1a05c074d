-- A payload as it stands in a record, which every Ruby dashboard and pruner parses: its own bytes where they are a JSON
-- object that Ruby's parser takes, else (or where they look like that themselves) {"class":"","args":[],"raw":"<base64>"}.
local RAW = '{"class":"","args":[],"raw":"'

-- Each well-formed sequence becomes one plain byte, so that the bytes around it cannot join to a new one.
local function is_utf8(text)
  for _, sequence in ipairs({
    '[\194-\223][\128-\191]',
    '\224[\160-\191][\128-\191]', '\237[\128-\159][\128-\191]', '[\225-\236\238\239][\128-\191][\128-\191]',
    '\240[\144-\191][\128-\191][\128-\191]', '\244[\128-\143][\128-\191][\128-\191]',
    '[\241-\243][\128-\191][\128-\191][\128-\191]',
  }) do
    text = string.gsub(text, sequence, '.')
  end
  return not string.find(text, '[\128-\255]')
end

-- What cjson takes and Ruby does not: control characters within strings, `1.` and `-.5`.
local function is_strict(text)
  local clean = true
  local bare = string.gsub(string.gsub(text, '\\.', ''), '"([^"]*)"', function(inner)
    clean = clean and not string.find(inner, '[%z\1-\31]')
    return ''
  end)
  return clean and not string.find(bare, '%d%.%D') and not string.find(bare, '%-%.')
end

-- Settings of cjson stick for every script of the server, and a decoder of our own (cjson.new) costs 3 us a call: so
-- they are set back at once. Nothing can come between. fakeredis has neither.
local function is_json(text)
  local depth = cjson.decode_max_depth and cjson.decode_max_depth()
  local lax = depth and cjson.decode_invalid_numbers()
  if depth then
    cjson.decode_max_depth(90)
    cjson.decode_invalid_numbers(false)
  end
  local valid = pcall(cjson.decode, text)
  if depth then
    cjson.decode_max_depth(depth)
    cjson.decode_invalid_numbers(lax)
  end
  return valid
end

local function is_object(text)
  if not string.find(text, '^[ \t\n\r]*{') or string.sub(text, 1, #RAW) == RAW then
    return false
  end
  local odd = string.find(text, '[^ -~]')
  if odd and not is_utf8(text) then
    return false
  end
  if (odd or string.find(text, '.', 1, true) or string.find(text, '-.', 1, true)) and not is_strict(text) then
    return false
  end
  return is_json(text)
end

local function base64(text)
  local digits = { string.byte('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/', 1, 64) }
  local out, floor, char, byte = {}, math.floor, string.char, string.byte
  for i = 1, #text, 3 do
    local a, b, c = byte(text, i, i + 2)
    local bits = a * 65536 + (b or 0) * 256 + (c or 0)
    out[#out + 1] = char(
      digits[floor(bits / 262144) + 1],
      digits[floor(bits / 4096) % 64 + 1],
      b and digits[floor(bits / 64) % 64 + 1] or 61,
      c and digits[bits % 64 + 1] or 61
    )
  end
  return table.concat(out)
end

local function shown(payload)
  return is_object(payload) and payload or RAW .. base64(payload) .. '"}'
end
