-- A payload as it stands in a record, which every Ruby dashboard and pruner parses: its own bytes where they are a JSON
-- object that Ruby's parser takes, else (or where they look like that themselves) {"class":"","args":[],"raw":"<base64>"}.
-- It is half of what taking a job costs in Redis. So the common payload is spared what only odd ones need.
local function shown(text)
  local find, at, raw = string.find, string.byte, '{"class":"","args":[],"raw":"'
  -- What begins like `raw` has a quote for its 11th byte, and the common payload has the beginning of a class' name.
  local valid = at(text) == 123 and at(text, 11) ~= 34
    or find(text, '^[ \t\n\r]*{') and find(text, raw, 1, true) ~= 1

  -- One look for what is neither odd nor a `-` or `.`, which might be.
  local odd = valid and find(text, '[^ -,/-~]') and (find(text, '[^ -~]') or find(text, '-.', 1, true))
  local dot = valid and not odd and find(text, '.', 1, true)
  while dot do
    local before, behind = at(text, dot - 1), at(text, dot + 1) or 0
    if before >= 48 and before <= 57 and (behind < 48 or behind > 57) then
      odd, dot = true, nil
    else
      dot = find(text, '.', dot + 1, true)
    end
  end
  if odd then
    -- What cjson takes and Ruby does not: bytes that are no UTF-8, control characters within strings, `1.` and `-.5`.
    -- Each well-formed sequence becomes one plain byte, so that the bytes around it cannot join to a new one.
    local rest = text
    for _, sequence in ipairs({
      '[\194-\223][\128-\191]',
      '\224[\160-\191][\128-\191]', '\237[\128-\159][\128-\191]', '[\225-\236\238\239][\128-\191][\128-\191]',
      '\240[\144-\191][\128-\191][\128-\191]', '\244[\128-\143][\128-\191][\128-\191]',
      '[\241-\243][\128-\191][\128-\191][\128-\191]',
    }) do
      rest = string.gsub(rest, sequence, '_')
    end
    local bare = string.gsub(string.gsub(rest, '\\.', ''), '"([^"]*)"', function(inner)
      valid = valid and not find(inner, '[%z\1-\31]')
      return ''
    end)
    valid = valid and not (find(rest, '[\128-\255]') or find(bare, '%d%.%D') or find(bare, '-.', 1, true))
  end

  if valid then
    -- Settings of cjson stick for every script of the server, and a decoder of our own (cjson.new) costs 3 us: so they
    -- are set back at once. Nothing can come between. fakeredis has neither. A depth of 90 takes 180 bytes.
    local json = cjson
    local strict = json.decode_invalid_numbers
    local lax, depth = strict and strict(), #text > 180 and json.decode_max_depth and json.decode_max_depth()
    if strict then
      strict(false)
    end
    if depth then
      json.decode_max_depth(90)
    end
    valid = pcall(json.decode, text)
    if strict then
      strict(lax)
    end
    if depth then
      json.decode_max_depth(depth)
    end
  end
  if valid then
    return text
  end

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
  return raw .. table.concat(out) .. '"}'
end
