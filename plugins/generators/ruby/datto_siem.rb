# @STAMP@, target @TARGET@
# Logstash ruby filter: turns Datto's lines into documents, with nothing beside it. Ruby 2.5 or later
# (Logstash 7 to 9). Generated; tables are at the end, everything else is fixed text.
#
# script_params:
#   source    field that holds the line as it came; default [event][original], else [message]
#   peer      fields that may hold the sender's address, best first
#   switches  host names and addresses known to be Datto switches
#
# Decisions:
#   A line never raises and is never lost: what is no CEF becomes the target's fallback document.
#   The document is laid over the event. Tags are joined; other values it overwrites go to [shipper].
#   The receive time is the event's @timestamp, and what it has below a millisecond tells equal lines
#   apart, so that an event that comes again from a queue gets the same id.
#   Workers share the filter without a lock: nothing is changed after `register`.
#   Every pattern is linear. Positions are bytes wherever a line may be long, because Ruby finds the
#   nth character of a text by counting.

require "digest/sha1"
require "strscan"

module Datto
  # White space as Unicode has it; Ruby's own \s is ASCII.
  WS = "\\t-\\r\\x1c-\\x20\\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000".freeze
  BLANKS = " \t\r\n\0\v\f".bytes.freeze
  FRAMING = "\r\n\0".bytes.freeze
  MAX_TEXT = 65_536
  MAX_PAIRS = 512
  MAX_KEY = 256
  MAX_LIST = 64
  MAX_NOTES = 32
  CUT_SIZES = [480, 1024, 2048, 8192].freeze

  module Text
    SIGMA = "\u03a3".freeze
    FINAL_SIGMA = "\u03c2".freeze
    CASED = /[\p{Lu}\p{Ll}\p{Lt}]/
    INSIDE = /[\p{Mn}\p{Me}\p{Cf}\p{Lm}\p{Sk}'.:\u00b7\u0387\u055f\u05f4\u2018\u2019\u2024\u2027\ufe13\ufe52\ufe55\uff07\uff0e\uff1a]/

    module_function

    def right(text, set)
      last = text.bytesize
      last -= 1 while last > 0 && set.include?(text.getbyte(last - 1))
      last == text.bytesize ? text : text.byteslice(0, last)
    end

    def both(text, set)
      text = right(text, set)
      first = 0
      first += 1 while first < text.bytesize && set.include?(text.getbyte(first))
      first.zero? ? text : text.byteslice(first, text.bytesize - first)
    end

    # The first byte of `what` from a byte on, or nil.
    def index(text, what, from = 0)
      text.b.index(what.b, from)
    end

    # A value in words: decimal numbers as every target writes them.
    def of(value)
      value.is_a?(Float) ? value.to_s.sub(/\.0e/, "e") : value.to_s
    end

    def fold(value)
      lower(of(value))
    end

    # Lower case. A sigma that ends a word has a form of its own, which Ruby does not know.
    def lower(text)
      return text.downcase unless text.include?(SIGMA)
      letters = text.chars
      before = cased(letters)
      after = cased(letters.reverse).reverse
      letters.each_with_index.map do |letter, at|
        letter == SIGMA && before[at] && !after[at] ? FINAL_SIGMA : letter
      end.join.downcase
    end

    # Whether a cased letter stands before each of them, signs inside words passed over.
    def cased(letters)
      found = false
      letters.map do |letter|
        was = found
        found = CASED.match?(letter) unless INSIDE.match?(letter)
        was
      end
    end

    # UTF-8; what is none stands as \xNN.
    def readable(raw)
      text = raw.dup.force_encoding(Encoding::UTF_8)
      return [text, false] if text.valid_encoding?
      [text.scrub { |bytes| bytes.bytes.map { |byte| format("\\x%02x", byte) }.join }, true]
    end
  end

  # Texts to epoch milliseconds and back. Nothing raises; what is no time is nil.
  module Times
    SECOND = 1_000
    MINUTE = 60 * SECOND
    HOUR = 60 * MINUTE
    DAY = 24 * HOUR
    FLOOR = 1_420_070_400_000 # 2015-01-01
    LAST = 253_402_300_800_000 # 10000-01-01
    MONTHS = %w[Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec].each_with_index
                                                                .map { |name, at| [name, at + 1] }
                                                                .to_h.freeze
    LENGTHS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31].freeze
    ZONES = {
      -10 => "HST", -9 => "AKST", -8 => "PST AKDT", -7 => "MST PDT", -6 => "CST MDT",
      -5 => "EST CDT", -4 => "EDT", -3.5 => "NST", -3 => "ADT", -2.5 => "NDT",
      0 => "Z UTC GMT UT WET", 1 => "BST CET WEST", 2 => "CEST EET SAST", 3 => "EEST MSK",
      8 => "AWST HKT SGT", 9 => "JST KST", 9.5 => "ACST", 10 => "AEST", 10.5 => "ACDT",
      11 => "AEDT", 12 => "NZST", 13 => "NZDT"
    }.flat_map { |hours, names| names.split.map { |name| [name, (hours * HOUR).to_i] } }.to_h.freeze
    AMBIGUOUS = %w[IST AST SST WST GST BDT].freeze
    CLOCK = '([0-9]{1,2}):([0-9]{2}):([0-9]{2})(?:[.,]([0-9]{1,9}))?'.freeze
    ZONE = '([A-Za-z]{1,5}(?:[+-][0-9]{1,2}(?::?[0-9]{2})?)?|[+-][0-9]{1,2}:?[0-9]{2})'.freeze
    RFC3339 = /\A([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:[.,]([0-9]{1,9}))?([Zz]|[+-][0-9]{2}:?[0-9]{2})?\z/
    NAMED = /\A(?:[A-Z][a-z]{2},? +)?(?:([0-9]{4}) +)?([A-Za-z]{3}) +([0-9]{1,2}),? +(?:([0-9]{4}),? +)?#{CLOCK}(?: ?#{ZONE})?(?: +([0-9]{4}))?\z/
    SLASHED = %r{\A([0-9]{1,2})/([0-9]{1,2})/([0-9]{4}),? +#{CLOCK} ?([AaPp])[Mm](?: #{ZONE})?\z}
    NUMERIC = /\A(?:GMT|UTC)?([+-])([0-9]{1,2})(?::?([0-9]{2}))?\z/
    EPOCH = /\A([0-9]{1,19})(?:\.([0-9]{1,18}))?\z/

    module_function

    def epoch(text)
      return nil if text.bytesize > 40
      match = EPOCH.match(text)
      return nil unless match
      value = match[1].to_i
      return value * SECOND + (match[2] ? thousandths(match[2]) : 0) if value < 100_000_000_000
      return value if value < 100_000_000_000_000
      return value / 1_000 if value < 100_000_000_000_000_000
      value / 1_000_000
    end

    def rfc3339(text)
      return nil if text.bytesize > 64
      match = RFC3339.match(text)
      return nil unless match
      start = day(match[1].to_i, match[2].to_i, match[3].to_i)
      within = clock(match[4], match[5], match[6], match[7])
      return nil unless start && within
      zone = match[8]
      return start + within if zone.nil? || zone == "Z" || zone == "z"
      ahead = offset(zone)
      ahead && in_range(start + within - ahead)
    end

    # The textual forms of the CEF standard and what is met beside them; UTC without a zone.
    def cef_text(text, received)
      return nil if text.length > 64
      match = NAMED.match(text)
      return slashed(text) unless match
      month = MONTHS[match[2].capitalize]
      within = clock(match[5], match[6], match[7], match[8])
      ahead = match[9] ? offset(match[9]) : 0
      return nil unless month && within && ahead
      year = match[1] || match[4] || match[10]
      return nearest(month, match[3].to_i, within - ahead, received) unless year
      start = day(year.to_i, month, match[3].to_i)
      start && in_range(start + within - ahead)
    end

    def read(text, received)
      epoch(text) || rfc3339(text) || cef_text(text, received)
    end

    def plausible(at, received)
      at >= FLOOR && at <= received + DAY
    end

    def iso(at)
      year, month, number = civil(at / DAY)
      within = at % DAY
      format("%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", year, month, number,
             within / HOUR, within / MINUTE % 60, within / SECOND % 60, within % SECOND)
    end

    def slashed(text)
      match = SLASHED.match(text)
      return nil unless match && match[4].to_i.between?(1, 12)
      start = day(match[3].to_i, match[1].to_i, match[2].to_i)
      hours = match[4].to_i % 12 + (match[8] =~ /[Pp]/ ? 12 : 0)
      within = clock(hours.to_s, match[5], match[6], match[7])
      ahead = match[9] ? offset(match[9]) : 0
      start && within && ahead && in_range(start + within - ahead)
    end

    # The latest year that puts a date without one at most a day after its receipt.
    def nearest(month, number, within, received)
      latest = received + DAY
      year = civil(latest / DAY)[0]
      [year + 1, year, year - 1].each do |candidate|
        start = day(candidate, month, number)
        return in_range(start + within) if start && start + within <= latest
      end
      nil
    end

    # A leap second stays in its own minute.
    def clock(hour, minute, second, fraction)
      hours = hour.to_i
      minutes = minute.to_i
      seconds = second.to_i
      return nil if hours > 23 || minutes > 59 || seconds > 60
      return hours * HOUR + minutes * MINUTE + 59_999 if seconds == 60
      hours * HOUR + minutes * MINUTE + seconds * SECOND + (fraction ? thousandths(fraction) : 0)
    end

    def thousandths(fraction)
      (fraction + "00")[0, 3].to_i
    end

    def leap?(year)
      year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    end

    def day(year, month, number)
      return nil unless year.between?(1, 9999) && month.between?(1, 12) && number >= 1
      return nil if number > LENGTHS[month - 1] + (month == 2 && leap?(year) ? 1 : 0)
      shifted = month > 2 ? year : year - 1
      era = shifted / 400
      of_era = shifted - era * 400
      of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + number - 1
      start = (era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468) * DAY
      start >= 0 ? start : nil
    end

    def civil(days)
      days += 719_468
      era = days / 146_097
      of_era = days - era * 146_097
      year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365
      of_year = of_era - (365 * year + year / 4 - year / 100)
      shifted = (5 * of_year + 2) / 153
      month = shifted < 10 ? shifted + 3 : shifted - 9
      [year + era * 400 + (month <= 2 ? 1 : 0), month, of_year - (153 * shifted + 2) / 5 + 1]
    end

    def in_range(at)
      at >= 0 && at < LAST ? at : nil
    end

    # Milliseconds ahead of UTC; nil for a zone that is unknown or has several meanings.
    def offset(zone)
      zone = zone.upcase
      return ZONES[zone] if ZONES.key?(zone)
      match = NUMERIC.match(zone)
      return nil unless match
      minutes = match[3].to_i
      return nil if match[2].to_i > 23 || minutes > 59
      ahead = match[2].to_i * HOUR + minutes * MINUTE
      match[1] == "-" ? -ahead : ahead
    end
  end

  # One value or several parts from a text, or nil.
  module Casts
    MAC = /\A(?:[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}|[0-9A-Fa-f]{2}(?:-[0-9A-Fa-f]{2}){5}|[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}|[0-9A-Fa-f]{12})\z/
    NUMBER = /\A-?[0-9]{1,64}(?:\.[0-9]{1,64})?(?:[Ee][+-]?[0-9]{1,2})?\z/
    OCTETS = (0..255).map(&:to_s).zip(0..255).to_h.freeze
    UUID = /\A[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\z/
    HOST_AND_PORT = /\A(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Fa-f:.]+))(?: *[&,#] *| +)([0-9]{1,5})\z/
    LONGEST_IP = 45
    LONGEST_SPAN = 1_000_000_000
    GO_PART = "([0-9]{1,12})(?:\\.([0-9]{1,12}))?(h|ms|m|s|us|\u00b5s|\u03bcs|ns)".freeze
    GO = /\A(?:#{GO_PART}){1,8}\z/
    GO_PARTS = /#{GO_PART}/
    NANOSECONDS = { "h" => 3_600 * 10**9, "m" => 60 * 10**9, "s" => 10**9, "ms" => 10**6,
                    "ns" => 1 }.freeze

    module_function

    def read(kind, text, received)
      case kind
      when "text", "list" then present(text)
      when "lower" then present(Text.lower(text))
      when "dns_name" then present(Text.lower(text).chomp("."))
      when "int" then integer(text)
      when "float" then number(text)
      when "port" then port(text)
      when "mac" then mac(text)
      when "ip" then ip(text)
      when "time" then time(text, received)
      when "hostport" then hostport(text)
      when "uid" then uid(text)
      when "email" then email(text)
      when "span" then span(text, received)
      end
    end

    def present(text)
      text.empty? ? nil : text
    end

    def integer(text)
      text =~ /\A-?[0-9]{1,18}\z/ ? text.to_i : nil
    end

    def number(text)
      text.length <= 64 && text =~ NUMBER ? text.to_f : nil
    end

    def port(text)
      return nil unless text =~ /\A[0-9]{1,5}\z/
      value = text.to_i
      value <= 65_535 ? value : nil
    end

    def mac(text)
      return nil unless text.length <= 17 && text =~ MAC
      text.delete(":.-").upcase.scan(/../).join(":")
    end

    def ip(text)
      return nil if text.length > LONGEST_IP
      return (ipv4(text) ? text : nil) unless text.include?(":")
      ipv6(text) ? text.downcase : nil
    end

    # Four numbers, or nil: no leading zeros.
    def ipv4(text)
      octets = text.split(".", -1).map { |octet| OCTETS[octet] }
      octets.size == 4 && octets.none?(&:nil?) ? octets : nil
    end

    # Sixteen numbers, or nil: no zone.
    def ipv6(text)
      parts = text.split(":", -1)
      return nil if parts.size < 3
      if parts.last.include?(".")
        last = ipv4(parts.pop)
        return nil unless last
        parts.push(format("%x", last[0] * 256 + last[1]), format("%x", last[2] * 256 + last[3]))
      end
      return nil if parts.size > 9
      groups = expanded(parts)
      return nil unless groups && groups.all? { |group| group =~ /\A[0-9A-Fa-f]{1,4}\z/ }
      groups.flat_map { |group| group.hex.divmod(256) }
    end

    def expanded(parts)
      gaps = (1..parts.size - 2).select { |at| parts[at].empty? }
      return nil if gaps.size > 1
      if gaps.empty?
        return parts.size == 8 && !parts[0].empty? && !parts[-1].empty? ? parts : nil
      end
      high = gaps[0]
      low = parts.size - high - 1
      if parts[0].empty?
        high -= 1
        return nil unless high.zero?
      end
      if parts[-1].empty?
        low -= 1
        return nil unless low.zero?
      end
      return nil if high + low > 7
      parts[0, high] + ["0"] * (8 - high - low) + (low.zero? ? [] : parts[-low, low])
    end

    def packed(address)
      address.include?(":") ? ipv6(address) : ipv4(address)
    end

    def time(text, received)
      at = Times.read(text, received)
      at && Times.plausible(at, received) ? at : nil
    end

    def hostport(text)
      host, _, tail = text.rpartition(":")
      if !host.empty? && !host.include?(":")
        address = ip(host)
        number = port(tail)
        return { "ip" => address, "port" => number } if address && number
      elsif host.start_with?("[") && host.end_with?("]")
        return joined(host[1..-2], tail)
      end
      text.length <= LONGEST_IP + 12 ? odd_hostport(text) : nil
    end

    def odd_hostport(text)
      bare = ip(text.start_with?("[") && text.end_with?("]") ? text[1..-2].to_s : text)
      return { "ip" => bare } if bare
      match = HOST_AND_PORT.match(text)
      match && joined(match[1] || match[2], match[3])
    end

    def joined(host, tail)
      address = ip(host)
      number = port(tail)
      address && number ? { "ip" => address, "port" => number } : nil
    end

    def uid?(text)
      text =~ UUID || mac(text) ? true : false
    end

    def uid(text)
      return nil if text.empty?
      address = mac(text)
      address ? { "all" => text, "mac" => address } : { "all" => text }
    end

    def email(text)
      return nil if text.empty?
      whole = Text.lower(text)
      name, at, domain = whole.partition("@")
      if !at.empty? && !name.empty? && !domain.empty? && !domain.include?("@") && whole !~ /[#{WS}]/o
        return { "all" => whole, "email" => whole, "name" => name, "domain" => domain }
      end
      { "all" => whole, "name" => whole }
    end

    # A number from 1e9 on, or an RFC 3339 text, is the end of a session; smaller is its length.
    def span(text, received)
      return nil if text.empty?
      found = { "all" => text }
      match = Times::EPOCH.match(text)
      if match && match[1].to_i < LONGEST_SPAN
        found["length"] = match[1].to_i * 1_000 + ((match[2] || "") + "000")[0, 3].to_i
      else
        last = match || Times.rfc3339(text) ? time(text, received) : nil
        length = last ? nil : go(text)
        found["end"] = last if last
        found["length"] = length if length
      end
      found
    end

    def go(text)
      return nil unless text.length <= 64 && text =~ GO
      total = 0
      text.scan(GO_PARTS) do |whole, fraction, unit|
        fraction ||= ""
        total += (whole + fraction).to_i * (NANOSECONDS[unit] || 1_000) / 10**fraction.length
      end
      length = total / 1_000_000
      length < LONGEST_SPAN * 1_000 ? length : nil
    end
  end

  Envelope = Struct.new(:format, :priority, :time_text, :host, :app, :pid, :msgid, :data) do
    def facility
      priority && priority >> 3
    end

    def severity
      priority && priority & 7
    end

    def time(received)
      time_text && Times.read(time_text, received)
    end
  end
  NO_ENVELOPE = Envelope.new("").freeze

  # The syslog header around a message. Positions are characters: few are asked for, near the start.
  module Syslog
    MOST_HEADERS = 8 # relays in a row; more is an attack, and the rest stays unread
    zones = (Times::ZONES.keys + Times::AMBIGUOUS).sort_by { |name| -name.length }.join("|")
    clock = '[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]{1,9})?'
    iso = "[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]#{clock}(?:[Zz]|[+-][0-9]{2}:?[0-9]{2})?"
    LEAD = /\G[\ufeff#{WS}"]{0,8}(?:[0-9]{1,6} (?=<))?/
    PRIORITY = /\G<([0-9]{1,3})>[ ]{0,3}/
    VERSION = /\G[1-9][0-9]{0,2} {1,3}(?=(-|[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt]))/
    WORDS = /\G(#{iso}|-) +([^ |]+) +([^ |]+) +([^ |]+) +([^ |]+)(?: +|\z)/
    STAMP_5424 = /\G(#{iso}|-)(?= |\z) {0,3}/
    STAMP = /\G(?:[0-9]{1,10}: {1,3}(?:([^#{WS}:|]{1,255}) ?: {1,3})?)?[*.]?(([0-9]{4} {1,3})?[A-Z][a-z]{2} {1,3}[0-9]{1,2},? {1,3}([0-9]{4},? {1,3})?#{clock}(?:Z| (?:#{zones}|[+-][0-9]{2}:?[0-9]{2})(?=[ :]|\z))?(?: [0-9]{4}(?= |\z))?|#{iso}):?(?= |\z) {0,3}/
    TAG = /\G(?!CEF: ?[0-9]{1,9}(?:\.[0-9]{1,9})?\|)([^#{WS}:\[\]|=<>"%]{1,128})(?:\[([^\]#{WS}|]{0,64})\])?:(?=[#{WS}]|\z)[#{WS}]{0,3}/
    HOST = /\G([^#{WS}|=<>"\[\]]{1,255})(?=[#{WS}]|\z)[#{WS}]{0,3}(?:[:-](?=[#{WS}]|\z)[#{WS}]{0,3})?/
    LAST_WORD = /\G([^#{WS}|=<>"]{1,128})[#{WS}]*\z/
    LEADING = /\G[\ufeff#{WS}"]{0,8}/
    BODY = /\G {0,3}\ufeff?/
    STOPS = /\\.|["\[\]]/m
    NEXT_CEF = /CEF:[ \t]?[0-9]{1,9}(?:\.[0-9]{1,9})?\|/
    BARE_CEF = /\G[0-9]{1,9}(?:\.[0-9]{1,9})?\|[ ]?[Dd][Aa][Tt][Tt][Oo][ ]?\|/

    module_function

    # What stands before the `CEF:` of a line.
    def prefix(text)
      text.empty? ? NO_ENVELOPE : scan(text, true)[0]
    end

    # A record that is not CEF: its header and its body.
    def record(text)
      envelope, last = scan(text, false)
      [envelope, last.zero? ? text : text[last..-1]]
    end

    # Where the CEF header begins, in characters; -1 when this is not CEF.
    def cef_start(text)
      start = text.index("CEF:")
      return without_cef(text) unless start
      match = NEXT_CEF.match(text, start)
      return without_cef(text) unless match
      start = match.begin(0)
      quoted = text.index('="')
      return start unless quoted && quoted + 2 <= start # no quoted value before it
      after = scan(text, false)[2]
      return start if after <= start
      match = NEXT_CEF.match(text, after)
      match ? match.begin(0) : without_cef(text)
    end

    def without_cef(text)
      return -1 unless text.include?("|") && text[0, 2048].downcase.include?("datto")
      start = LEADING.match(text, scan(text, false)[1]).end(0)
      BARE_CEF.match(text, start) ? start : -1
    end

    # The envelope, where the body begins, where structured data ended last.
    def scan(text, before_cef)
      envelope = outer = nil
      start = at = LEAD.match(text, 0).end(0)
      data_end = 0
      MOST_HEADERS.times do
        inner, after, after_data = header(text, at, before_cef, at > start)
        break if after == at
        at = after
        data_end = [data_end, after_data].max
        outer = envelope
        envelope = outer ? merged(inner, outer) : inner
      end
      return [before_cef ? lone_tag(text, start) : NO_ENVELOPE, 0, data_end] unless envelope
      [envelope, at, data_end]
    end

    # The innermost header describes the device; an outer one fills what it leaves out.
    def merged(inner, outer)
      Envelope.new(inner.format, inner.priority || outer.priority,
                   inner.time_text || outer.time_text, inner.host || outer.host,
                   inner.app, inner.pid, inner.msgid, inner.data)
    end

    def lone_tag(text, start)
      match = TAG.match(text, start)
      return NO_ENVELOPE unless match && match.end(0) == text.length
      Envelope.new("", nil, nil, nil, match[1], some(match[2]))
    end

    def header(text, start, before_cef, nested)
      priority = nil
      at = start
      match = PRIORITY.match(text, start)
      if match
        at = match.end(0)
        priority = match[1].to_i if match[1].to_i <= 191
      elsif nested && !before_cef
        return [NO_ENVELOPE, start, 0]
      end
      version = VERSION.match(text, at)
      return rfc5424(text, version.end(0), priority, before_cef) if version && (match || version[1] != "-")
      stamp = STAMP.match(text, at)
      if stamp
        dated = !stamp[3].nil? || !stamp[4].nil?
        host, app, pid, after = names(text, stamp.end(0), before_cef, stamp[1].nil?, dated)
        return [Envelope.new("RFC3164", priority, stamp[2], host || stamp[1], app, pid), after, 0]
      end
      return [NO_ENVELOPE, start, 0] unless priority
      host, app, pid, after = names(text, at, before_cef, before_cef, false)
      if before_cef && after < text.length && text[after] != "<"
        return [Envelope.new("RFC3164", priority), at, 0] # several words and no time: no header
      end
      [Envelope.new("RFC3164", priority, nil, host, app, pid), after, 0]
    end

    # Host and tag of RFC 3164, either of which may be missing, and where they end.
    def names(text, at, before_cef, expect_host, dated)
      host = nil
      tag = TAG.match(text, at)
      if expect_host
        if tag.nil?
          word = before_cef && STAMP.match(text, at) ? nil : HOST.match(text, at)
          if word
            host = cleaned(word[1])
            at = word.end(0)
            tag = TAG.match(text, at)
          end
        elsif tag[2].nil? && (dated || tag[1].include?(".") || tag[1] == "-")
          host = cleaned(tag[1])
          at = tag.end(0)
          tag = TAG.match(text, at)
        end
      end
      return [host, tag[1], some(tag[2]), tag.end(0)] if tag
      last = before_cef && host ? LAST_WORD.match(text, at) : nil
      last ? [host, cleaned(last[1]), nil, last.end(0)] : [host, nil, nil, at]
    end

    def cleaned(word)
      word = word[0..-2] if word.end_with?(":") && Casts.ip(word).nil?
      word == "-" || word.empty? ? nil : word
    end

    def some(text)
      text.nil? || text.empty? ? nil : text
    end

    def rfc5424(text, start, priority, before_cef)
      words = WORDS.match(text, start)
      if words
        at = words.end(0)
        data_end = structured_end(text, at)
        if data_end > at || (before_cef && at == text.length)
          after, host, app, pid, msgid = words.captures.map { |word| word == "-" ? nil : word }
          data = text[at...data_end]
          data = nil if data.empty? || data == "-"
          envelope = Envelope.new("RFC5424", priority, after, host, app, pid, msgid, data)
          return [envelope, BODY.match(text, data_end).end(0), data_end]
        end
      end
      stamp = STAMP_5424.match(text, start)
      return [Envelope.new("RFC5424", priority), start, 0] unless stamp
      host, app, pid, after = names(text, stamp.end(0), before_cef, true, false)
      written = stamp[1] == "-" ? nil : stamp[1]
      [Envelope.new("RFC5424", priority, written, host, app, pid), after, 0]
    end

    # A bracket inside quotes closes nothing, escaped or not; data that never close are none.
    def structured_end(text, start)
      first = text[start]
      return [nil, " "].include?(text[start + 1]) ? start + 1 : start if first == "-"
      return start unless first == "["
      scanner = StringScanner.new(text)
      scanner.pos = text[0...start].bytesize
      quoted = false
      while scanner.scan_until(STOPS)
        mark = scanner.matched
        if mark == '"'
          quoted = !quoted
        elsif mark == "]" && !quoted && scanner.peek(1) != "["
          return text.byteslice(0, scanner.pos).length
        end
      end
      start
    end
  end

  Header = Struct.new(:version, :vendor, :product, :device_version, :class_id, :name, :severity)

  # The Common Event Format on its own. Positions are bytes.
  module Cef
    FIELDS = 7
    KEY = /\A[A-Za-z0-9_][A-Za-z0-9_.,\-]*(?:\[[0-9]+\])?\z/
    SEVERITY = (["", "unknown", "low", "medium", "high", "very-high", "very high"] +
                (0..10).map(&:to_s)).freeze
    ESCAPED = { "\\" => "\\", "=" => "=", "|" => "|", "n" => "\n", "r" => "\r" }.freeze
    LEADING = /\A[#{WS}]+/

    module_function

    def key?(text)
      text.length <= MAX_KEY && KEY.match(text) ? true : false
    end

    def unescape(value)
      return value unless value.include?("\\")
      value.gsub(/\\([\\=|nr])/) { ESCAPED[Regexp.last_match(1)] }
    end

    # Header, where its extension begins, note; nil when there are not even three fields.
    def split_header(text, start)
      bytes = text.b
      at = bytes[start, 4] == "CEF:" ? start + 4 : start
      parts = []
      begins = [at]
      stop = pipe(bytes, at)
      while stop && parts.size < FIELDS
        parts << text.byteslice(at, stop - at)
        at = stop + 1
        begins << at
        stop = pipe(bytes, at)
      end
      if parts.size == FIELDS && (SEVERITY.include?(parts[6].downcase) || !parts[6].include?("="))
        return [header(parts), at, nil]
      end
      parts << text.byteslice(at, text.bytesize - at)
      short(text, parts[0, FIELDS + 1], begins)
    end

    def short(text, parts, begins)
      (2...[parts.size, FIELDS].min).each do |index|
        key, equals, _ = parts[index].sub(LEADING, "").partition("=")
        next if equals.empty? || !key?(key)
        return [header(parts[0, index] + [""] * (FIELDS - index)), begins[index], "header_short"]
      end
      return [header(parts[0, FIELDS]), begins[FIELDS], nil] if parts.size > FIELDS
      return nil if parts.size < 3
      note = parts.size == FIELDS ? "no_final_pipe" : "header_short"
      [header(parts + [""] * (FIELDS - parts.size)), text.bytesize, note]
    end

    # The next pipe that no backslash escapes.
    def pipe(bytes, start)
      at = bytes.index("|", start)
      while at && at > 0 && bytes.getbyte(at - 1) == 92
        first = at - 1
        first -= 1 while first > start && bytes.getbyte(first - 1) == 92
        break if (at - first).even?
        at = bytes.index("|", at + 1)
      end
      at
    end

    def header(parts)
      Header.new(*parts.map { |part| Text.both(part.gsub(/\\([\\|])/) { Regexp.last_match(1) }, BLANKS) })
    end
  end

  # One record on its way.
  class Event
    attr_accessor :raw, :text, :original_text, :received, :nanoseconds, :peer, :entry, :head, :prefix,
                  :begins, :body, :fault, :notes, :pairs, :extension, :chosen, :fields, :left, :spare,
                  :listed, :time, :time_text
    attr_writer :envelope

    def initialize(raw, text, received, nanoseconds, peer)
      @raw = raw
      @text = @original_text = text
      @received = received
      @nanoseconds = nanoseconds
      @peer = peer
      @prefix = ""
      @begins = 0
      @notes = []
      @pairs = []
      @extension = {}
      @chosen = {}
      @fields = {}
      @left = {}
      @spare = []
      @listed = {}
    end

    def note(kind, key = "")
      @notes << (key.empty? ? kind : "#{kind}:#{key}")
    end

    def envelope
      @envelope ||= Syslog.prefix(@prefix)
    end

    def original_size
      Text.right(@raw.b, FRAMING).bytesize
    end

    def note_kinds
      found = @notes.uniq.sort.first(MAX_NOTES)
      found.empty? ? nil : found
    end

    def every_pair
      found = {}
      @pairs.each do |key, text|
        known = found[key]
        if known.nil?
          found[key] = text
        elsif known.is_a?(Array)
          known << text
        else
          found[key] = [known, text]
        end
      end
      found.empty? ? nil : found
    end

    # An id in the form of a UUID version 5: the same record at the same place gives the same.
    def uid
      space = ["bc198a93fb3f5a6f8e4add65f1f2e66f"].pack("H*")
      hex = Digest::SHA1.hexdigest(
        space + @peer.to_s.b + "\0#{@received}\0#{@nanoseconds}\0".b + @raw.b
      )
      variant = "89ab"[hex[16].hex & 3]
      "#{hex[0, 8]}-#{hex[8, 4]}-5#{hex[13, 3]}-#{variant}#{hex[17, 3]}-#{hex[20, 12]}"
    end

    # Fields that the decoder fills; absent ones are nil.
    def given
      head = @head
      {
        "header.cef_version" => head && some(head.version), "header.vendor" => head && some(head.vendor),
        "header.product" => head && some(head.product),
        "header.version" => head && some(head.device_version),
        "header.class_id" => head && some(head.class_id), "header.name" => head && some(head.name),
        "header.severity" => head && some(head.severity),
        "syslog.priority" => envelope.priority, "syslog.facility" => envelope.facility,
        "syslog.severity" => envelope.severity, "syslog.host" => envelope.host,
        "syslog.app" => envelope.app, "syslog.time" => envelope.time(@received),
        "syslog.format" => some(envelope.format), "syslog.text" => some(@body),
        "peer.ip" => @peer && Casts.ip(@peer), "received" => @received, "processed" => @received,
        "uid" => uid, "original" => @original_text, "original_size" => original_size,
        "notes" => note_kinds, "fault" => @fault, "pairs" => every_pair,
        "event.time" => @time || @received, "event.time_text" => @time_text
      }
    end

    private

    def some(text)
      text.nil? || text.empty? ? nil : text
    end
  end

  # One source event: which keys it has and how they are read.
  class Entry
    NO_CAST = %w[text lower list span].freeze
    FAR = 4_102_444_800_000 # a boundary test asks for a time's form, not whether it is plausible

    attr_reader :row

    def initialize(row, casts, placeholders, lookups)
      @row = row
      @placeholders = placeholders
      @lookups = lookups
      @casts = row["casts"].map { |key, at| [key, casts[at]] }.to_h
      @lists = row["lists"].map { |start, at| [start, casts[at]] }
      boundary = row["boundary"].map { |key, at| [key, casts[at]] }.to_h
      @fits = boundary.map { |key, cast| [key, fits(cast)] }.to_h
      every = @casts.values + @lists.map { |_, cast| cast } + boundary.values
      @colon = every.select { |cast| cast["colon"] }.map { |cast| [cast["key"], fits(cast)] }.to_h
      @free = boundary.select { |_, cast| cast["free"] }
      @documented = row["keys"].map { |key| [key, true] }.to_h
      @glue = boundary.select { |key, cast| @documented[key] && !NO_CAST.include?(cast["kind"]) }
                      .map { |key, cast| [key, glues(cast)] }
      @starts = @lists.map { |start, _| start }
      @folded = @casts.keys.reject { |key| key == key.downcase }.map { |key| [key.downcase, key] }.to_h
    end

    # A test of a value's first word, or nil where any text will do.
    def fits(cast)
      return nil if NO_CAST.include?(cast["kind"])
      lambda do |text|
        text.empty? || !Casts.read(cast["kind"], text, FAR).nil? || @placeholders.include?(text)
      end
    end

    # Stricter for glued pairs: an id must be a UUID or a MAC.
    def glues(cast)
      return @fits[cast["key"]] unless cast["kind"] == "uid"
      ->(text) { Casts.uid?(text) || @placeholders.include?(text) }
    end

    # Splits the extension into pairs.
    def scan(event)
      return if event.head.nil? || event.begins >= event.text.bytesize
      text = event.text
      start = event.begins
      last = text.length > MAX_TEXT ? text[0, MAX_TEXT].bytesize : text.bytesize
      found = last > start ? boundaries(text.byteslice(start, last - start), start) : []
      keep(event, found, start, last)
      rest(event, last, text.bytesize, "line_too_long") if last < text.bytesize
    end

    # Fields from pairs.
    def read(event)
      cut = cut_key(event)
      event.chosen = event.extension
      if event.extension.size != event.pairs.size
        event.chosen, ends = choose(event)
        cut = nil unless ends # what was cut is not what counts
      end
      @row["constants"].each { |name, value| event.fields[name] = value }
      times = {}
      event.chosen.each do |key, text|
        cast = @casts[key] || other(event, key)
        next if cast.nil? || text.empty?
        value = key == cut ? nil : Casts.read(cast["kind"], text, event.received)
        if value.nil?
          failed(event, key, text, cast, key == cut)
          next
        end
        check(event, key, text, cast)
        times[key] = value if cast["kind"] == "time"
        fill(event, key, cast, value)
      end
      read_lists(event, cut)
      settle_time(event, times)
    end

    private

    # [key, start of the value, start of the pair] of every pair.
    def boundaries(body, start)
      found = []
      free = false
      at = start
      body.tr("\t\r\n\v\f", " ").split(/ /, -1).each do |token|
        size = token.bytesize
        key, equals, = token.partition("=")
        if !equals.empty? && (@fits.key?(key) || (!free && Cef.key?(key)) || numbered?(key))
          found << [key, at + key.bytesize + 1, at]
          free = @free.key?(key) if @fits.key?(key)
        elsif !@colon.empty? && token.include?(":")
          key, _, value = token.partition(":")
          if @colon.key?(key) && (!free || @fits.key?(key)) && (@colon[key].nil? || @colon[key].call(value))
            found << [key, at + key.bytesize + 1, at]
            free = @free.key?(key)
          end
        end
        at += size + 1
      end
      found
    end

    def numbered?(key)
      @starts.any? { |start| key.start_with?(start) } && key.count(".") == 1 && key =~ /\.[0-9]+\z/
    end

    def keep(event, found, start, last)
      text = event.text
      if found.empty? || found[0][2] > start
        before = found.empty? ? last : found[0][2]
        lead = Text.both(text.byteslice(start, before - start), BLANKS)
        unless lead.empty?
          event.pairs << ["_text", lead]
          event.extension["_text"] = lead
          event.note("text_before_key")
        end
      end
      limit = last
      if found.size > MAX_PAIRS
        limit = found[MAX_PAIRS][2]
        found = found.first(MAX_PAIRS)
      end
      present = found.map { |key, _| [key, true] }.to_h
      found.each_with_index do |(key, begins, _), index|
        stops = index == found.size - 1 ? limit : found[index + 1][2]
        value = stops > begins ? Text.right(text.byteslice(begins, stops - begins), BLANKS) : ""
        parts = [[key, value]]
        parts = unglued(event, present, key, value) if value.include?("=") && !@free.key?(key)
        parts.each { |name, part| add(event, name, Cef.unescape(part)) }
      end
      rest(event, limit, last, "too_many_pairs") if limit < last
    end

    def add(event, name, clear)
      event.pairs << [name, clear]
      if event.extension.key?(name)
        event.note("duplicate_key", name)
      else
        event.extension[name] = clear
      end
    end

    # Parts `7external_id=<uuid>` at documented keys that are otherwise absent.
    def unglued(event, present, key, value)
      glued = []
      @glue.each do |other, fit|
        next if present.key?(other)
        left, equals, right = value.partition("#{other}=")
        next if equals.empty? || left.empty? || right.empty? || !fit.call(right)
        test = @fits[key]
        next unless test.nil? || test.call(left)
        event.note("glued_pair", other)
        glued.unshift([other, right])
        value = left
      end
      [[key, value]] + glued
    end

    # What is not taken apart is one pair of its own.
    def rest(event, start, last, note)
      event.note(note)
      text = Text.both(event.text.byteslice(start, last - start), BLANKS)
      return if text.empty?
      event.pairs << ["_rest", text]
      event.extension["_rest"] = text unless event.extension.key?("_rest")
    end

    # A key read under another spelling, or one that nobody documents.
    def other(event, key)
      low = key.downcase
      known = @casts.key?(low) ? low : @folded[low]
      return @casts[known] if known && !event.chosen.key?(known)
      event.note("unexpected_key", key) if
        !@documented.empty? && @starts.none? { |start| key.start_with?(start) }
      nil
    end

    # The key whose value may be cut, when the record has a size at which relays cut.
    def cut_key(event)
      slashes = event.text.bytesize - Text.right(event.text, [92]).bytesize
      return nil if event.pairs.empty? || !(CUT_SIZES.include?(event.original_size) || slashes.odd?)
      key = event.pairs[-1][0]
      event.note("truncated", key)
      key
    end

    def failed(event, key, text, cast, cut)
      event.left[key] = true
      return if cut
      kind = cast["kind"] == "time" ? "bad_time" : "bad_type"
      kind = "placeholder" if @placeholders.include?(text)
      event.note(kind, key)
    end

    # Of duplicates, the first if no value that strangers choose stands before it, else the last
    # that fits: what is forged inside a value comes before what the device writes after it.
    def choose(event)
      pairs = event.pairs
      border = pairs.index { |key, _| @free.key?(key) } || pairs.size
      places = {}
      pairs.each_with_index { |(key, _), at| (places[key] ||= []) << at }
      ends = false
      chosen = {}
      places.each do |key, found|
        best = found[0]
        if found.size > 1
          best = last_that_fits(event, key, found) if found[0] > border
          found.each { |at| event.spare << pairs[at] unless at == best }
        end
        chosen[key] = pairs[best][1]
        ends ||= best == pairs.size - 1
      end
      [chosen, ends]
    end

    def last_that_fits(event, key, found)
      cast = @casts[key]
      found.reverse.find do |at|
        cast.nil? || !Casts.read(cast["kind"], event.pairs[at][1], event.received).nil?
      end || found[-1]
    end

    def fill(event, key, cast, value)
      cast["parts"].each do |part, name|
        held = part.empty? ? value : value[part]
        next if held.nil?
        clash = event.fields.key?(name) && event.fields[name] != held
        next if clash && stands?(event, key, cast, name)
        event.fields[name] = held
      end
    end

    # The value that fills a field already stands, unless this key `wins`.
    def stands?(event, key, cast, name)
      event.note("conflict", key)
      holder = nil
      event.chosen.each_key do |each|
        break if each == key
        row = @casts[each]
        holder = each if row && !event.left[each] && row["parts"].any? { |_, field| field == name }
      end
      if holder && cast["wins"] && !@casts[holder]["wins"]
        event.left[holder] = true
        return false
      end
      event.left[key] = true
      true
    end

    # What to verify of a value that fits its type.
    def check(event, key, text, cast)
      unless cast["agrees"].empty?
        field = cast["agrees"].sub(/\Aheader\./, "")
        event.note("conflict", key) if event.head.nil? || text != event.head[field.to_sym]
        return
      end
      return if cast["among"].empty?
      table, _, column = cast["among"][0].partition(".")
      lookup = column.empty? ? nil : @lookups[table]
      word = text.downcase
      if lookup.nil?
        event.note("unknown_value", key) unless cast["among"].include?(word)
      elsif !lookup["rows"].key?(word)
        event.note("unknown_value", key)
      elsif !lookup["rows"][word].key?(column)
        event.note("swapped", key)
      end
    end

    # Numbered keys as one list, in order of their numbers; gaps are fine.
    def read_lists(event, cut)
      @lists.each do |start, cast|
        found = []
        event.chosen.each do |key, text|
          next if text.empty? || key == cut || !key.start_with?(start)
          number = key[start.length..-1]
          found << [number.to_i, key, text] if number =~ /\A[0-9]{1,3}\z/
        end
        kept = found.sort.first(MAX_LIST)
        next if kept.empty?
        event.fields[cast["parts"][0][1]] = kept.map { |_, _, text| text }.uniq
        kept.each { |_, key, _| event.listed[key] = true }
      end
    end

    def settle_time(event, times)
      @row["time"].each do |key|
        next unless times.key?(key)
        event.time = times[key]
        event.time_text = event.extension[key]
        return
      end
      at = event.envelope.time(event.received)
      return unless at && Times.plausible(at, event.received)
      event.time = at
      event.time_text = event.envelope.time_text
    end
  end

  # Which table row a header belongs to, and one record decoded.
  class Decoder
    OLDER = /\A[0-9]{1,6}(\.[0-9]{1,6}){1,5}\z/

    def initialize(tables, switches)
      @sources = tables["sources"]
      placeholders = tables["placeholders"].map { |word| [word, true] }.to_h
      @entries = tables["events"].map do |row|
        Entry.new(row, tables["casts"], placeholders, tables["lookups"])
      end
      @any = @sources.find { |source| source["any"] }
      @switch = @sources.find { |source| source["takes_text"] } || @any
      @undecodable = @entries[@any["names"]["undecodable"]]
      @switches = switches.map(&:downcase)
    end

    def decode(raw, received, nanoseconds, peer)
      text, broken = Text.readable(raw)
      whole = Text.right(text, FRAMING)
      event = Event.new(raw, whole, received, nanoseconds, peer)
      event.entry = @undecodable
      event.note("bad_utf8") if broken
      event.text = unframed(whole)
      take_apart(event)
      event.entry.scan(event)
      event.entry.read(event)
      event
    end

    private

    def unframed(text)
      text = Text.right(text, BLANKS).sub(/\A\ufeff/, "")
      text.start_with?('"CEF:') && text.end_with?('"') ? text[1..-2] : text
    end

    def take_apart(event)
      text = event.text
      place = Syslog.cef_start(text)
      return not_cef(event) if place < 0
      start = text[0, place].bytesize
      header, begins, note = Cef.split_header(text, start)
      if header.nil?
        event.fault = "a CEF header with fewer than three fields"
        return
      end
      event.note(note) if note
      header = realigned(header) if note == "header_short"
      event.head = header
      event.prefix = text.byteslice(0, start)
      event.begins = begins
      event.note("cef_missing") unless text.getbyte(start) == 67
      found = source(header)
      event.entry = entry(found, header)
      event.note("inferred") if event.entry.row["inferred"]
      event.note("old_firmware") if !found["oldest"].empty? && older?(header.device_version, found["oldest"])
    end

    def not_cef(event)
      event.envelope, body = Syslog.record(event.text)
      if event.envelope.format.empty? && event.envelope.priority.nil?
        event.fault = event.text.empty? ? "empty record" : "neither CEF nor syslog"
        return
      end
      event.body = body
      senders = [event.envelope.host.to_s.downcase, event.peer.to_s.downcase]
      found = (senders & @switches).empty? ? @any : @switch
      event.entry = @entries[found["names"]["text"]]
      event.note("inferred") if event.entry.row["inferred"]
    end

    # A named vendor and product before a wildcard, `any` last.
    def source(header)
      vendor = fold(header.vendor)
      product = fold(header.product)
      best = @any
      rank = 0
      @sources.each do |source|
        next if source["vendor"] != vendor || source["any"]
        source["products"].each do |pattern|
          score = pattern == product ? 2 : glob?(pattern, product) ? 1 : 0
          next unless score > rank
          best = source
          rank = score
        end
      end
      best
    end

    def entry(source, header)
      names = source["names"]
      at = names["#{header.class_id}/#{header.name}"] || names["#{header.class_id}/*"] || names["*/*"]
      @entries[at]
    end

    # The fields of a header that lacks one put in place, when a known event shows how.
    def realigned(header)
      version, vendor, first, second, third, fourth = header.to_a
      return header unless @sources.any? { |each| fold(vendor) == each["vendor"] }
      @sources.each do |each|
        next unless each["names"].key?("#{second}/#{third}")
        middle = source(header).equal?(each) ? [first, ""] : [each["products"][0], first]
        return Header.new(version, vendor, *middle, second, third, fourth)
      end
      header
    end

    def fold(text)
      text.delete(" ").downcase
    end

    # `*` is any text; the leftmost place of each piece will do, so this is linear.
    def glob?(pattern, text)
      first, *middle, last = pattern.split("*", -1)
      return pattern == text if last.nil?
      return false unless text.start_with?(first) && text.length >= first.length + last.length
      inner = text[first.length..-1 - last.length]
      middle.each do |piece|
        at = inner.index(piece)
        return false unless at
        inner = inner[at + piece.length..-1]
      end
      text.end_with?(last)
    end

    def older?(version, oldest)
      return false unless version =~ OLDER
      (version.split(".").map(&:to_i) <=> oldest.split(".").map(&:to_i)) < 0
    end
  end

  # Operators of the tables: absent is nil, nothing raises.
  module Operators
    LABEL = /\A[A-Za-z0-9](?:[A-Za-z0-9-]{0,59}[A-Za-z0-9])?\z/

    module_function

    def single(name, value)
      case name
      when "lower" then Text.lower(value)
      when "upper" then value.upcase
      when "slug" then Casts.present(value.downcase.gsub(/[^a-z0-9]+/, "-").sub(/\A-/, "").chomp("-"))
      when "ip" then Casts.ip(value)
      when "mac" then Casts.mac(value)
      when "label" then value =~ LABEL ? value : nil
      when "fqdn" then fqdn(value)
      when "ipver" then value.include?(":") ? "ipv6" : "ipv4"
      when "scope" then scope(value)
      when "seconds" then value / 1000
      when "head" then value.is_a?(Array) ? value[0] : value
      when "other" then value
      when "local_mac" then "2367ABEF".include?(value[1])
      when "text" then Text.of(value)
      end
    end

    def fqdn(text)
      return nil if !text.include?(".") || text.length > 253 || Casts.ip(text)
      text.split(".", -1).all? { |part| part =~ LABEL } ? text : nil
    end

    def scope(address)
      octets = Casts.packed(address)
      return nil unless octets
      octets.size == 4 ? scope4(*octets) : scope6(octets)
    end

    def scope4(first, second, *)
      inside = [10, 127].include?(first) || (first == 172 && second.between?(16, 31)) ||
               (first == 192 && second == 168) || (first == 100 && second.between?(64, 127)) ||
               (first == 169 && second == 254)
      inside ? "private" : "public"
    end

    def scope6(octets)
      inside = octets == [0] * 15 + [1] || (octets[0] == 0xfe && octets[1] & 0xc0 == 0x80) ||
               octets[0] & 0xfe == 0xfc
      inside ? "private" : "public"
    end

    def minus(left, right)
      left.nil? || right.nil? || left < right ? nil : left - right
    end

    def distinct(items)
      found = items.flat_map { |item| item.is_a?(Array) ? item : [item] }.compact.uniq
      found.empty? ? nil : found
    end

    def join(value, separator)
      return value.nil? ? nil : Text.of(value) unless value.is_a?(Array)
      Casts.present(value.map { |item| Text.of(item) }.join(separator))
    end

    def format(type, style, value)
      case [type, style]
      when %w[mac upper-hyphen] then value.tr(":", "-")
      when %w[mac lower-colon] then value.downcase
      when %w[time iso8601] then Times.iso(value)
      when %w[time seconds], %w[duration seconds]
        value % 1000 == 0 ? value / 1000 : value / 1000.0
      when %w[duration nanoseconds] then value * 1_000_000
      else value
      end
    end

    # Community ID version 1, seed 0.
    def community_id(source, source_port, destination, destination_port, protocol)
      return nil if source.nil? || source_port.nil? || destination.nil? || destination_port.nil?
      one = Casts.packed(source)
      two = Casts.packed(destination)
      return nil unless one && two && one.size == two.size && [6, 17, 132].include?(protocol)
      ends = [[one, source_port], [two, destination_port]].sort
      data = [0, 0].pack("C2") + (ends[0][0] + ends[1][0]).pack("C*") +
             [protocol, 0, ends[0][1], ends[1][1]].pack("CCnn")
      "1:" + [Digest::SHA1.digest(data)].pack("m0")
    end
  end

  # Expressions of the tables as lambdas from the fields' values to a value.
  class Compiler
    def initialize(lookups)
      @lookups = lookups
    end

    def compile(expr)
      name = expr[0]
      case name
      when "const" then constant(expr[1])
      when "ref"
        field = expr[1]
        ->(values) { values[field] }
      when "first" then first(expr[1].map { |item| compile(item) })
      when "if" then choice(compile(expr[1]), compile(expr[2]), compile(expr[3]))
      when "lookup" then lookup(expr)
      when "table" then table(expr)
      when "template"
        filled = fill(expr[1])
        ->(values) { text = filled.call(values); text.nil? || text.empty? ? nil : text }
      when "list"
        items = expr[1].map { |item| compile(item) }
        ->(values) { Operators.distinct(items.map { |item| item.call(values) }) }
      when "join"
        inner = compile(expr[1])
        ->(values) { Operators.join(inner.call(values), expr[2]) }
      when "minus"
        left = compile(expr[1])
        right = compile(expr[2])
        ->(values) { Operators.minus(left.call(values), right.call(values)) }
      when "fmt" then formatted(expr)
      when "community_id"
        items = expr[1].map { |item| compile(item) }
        ->(values) { Operators.community_id(*items.map { |item| item.call(values) }) }
      when "collect" then collect(expr[1])
      else single(name, compile(expr[1]))
      end
    end

    private

    def constant(value)
      value.is_a?(Array) ? ->(_) { value.dup } : ->(_) { value }
    end

    # No `return` inside a block of a lambda: JRuby 9.2 takes it for an error.
    def first(items)
      lambda do |values|
        found = nil
        items.each do |item|
          found = item.call(values)
          break unless found.nil?
        end
        found
      end
    end

    def choice(test, yes, no)
      ->(values) { test.call(values).nil? ? no.call(values) : yes.call(values) }
    end

    def lookup(expr)
      subject = compile(expr[1])
      rows = {}
      expr[2].each { |name, row| rows[name] = compile(row) unless rows.key?(name) }
      other = compile(expr[3])
      lambda do |values|
        key = subject.call(values)
        row = key.nil? ? nil : rows[Text.fold(key)]
        (row || other).call(values)
      end
    end

    def table(expr)
      subject = compile(expr[1])
      rows = @lookups[expr[2]]["rows"]
      fallback = @lookups[expr[2]]["default"][expr[3]]
      column = expr[3]
      other = compile(expr[4])
      lambda do |values|
        key = subject.call(values)
        value = nil
        unless key.nil?
          row = rows[Text.fold(key)]
          value = row[column] if row
          value = fallback if value.nil?
        end
        return other.call(values) if value.nil?
        value.is_a?(Array) ? value.dup : value
      end
    end

    # Text of the parts, nil when a field outside a bracket is absent.
    def fill(parts)
      pieces = parts.map do |part|
        if part.is_a?(String)
          [0, part]
        elsif part[0] == "ref"
          [1, part[1]]
        else
          [2, fill(part[1])]
        end
      end
      lambda do |values|
        text = +""
        pieces.each do |kind, piece|
          held = kind.zero? ? piece : kind == 1 ? values[piece] : piece.call(values).to_s
          if held.nil?
            text = nil
            break
          end
          text << Text.of(held)
        end
        text
      end
    end

    def formatted(expr)
      type, style = expr[1]
      inner = compile(expr[2])
      lambda do |values|
        value = inner.call(values)
        value.nil? ? nil : Operators.format(type, style, value)
      end
    end

    def collect(rows)
      items = rows.map { |name, id, caption, item| [name, id, caption, compile(item)] }
      lambda do |values|
        found = items.map do |name, id, caption, item|
          value = item.call(values)
          next if value.nil?
          { "name" => name, "type_id" => id, "type" => caption, "value" => Text.of(value) }
        end.compact
        found.empty? ? nil : found
      end
    end

    def single(name, inner)
      lambda do |values|
        value = inner.call(values)
        value.nil? ? nil : Operators.single(name, value)
      end
    end
  end

  # What is written for one source event.
  class Plan
    attr_reader :needs, :instead, :note

    def initialize(row, steps, compiler)
      @derive = row["derive"].map { |at| steps[at] }
      @emit = row["emit"].map { |at| [path(steps[at][0]), steps[at][1]] }
      @columns = row["columns"]
      @needs = row["needs"].map { |expr| compiler.compile(expr) }
      @instead = row["instead"]
      @note = row["note"]
      @used = row["used"].map { |key| [key, true] }.to_h
      @said = row["said"].map { |key, expr| [key, compiler.compile(expr)] }
      @leftovers = row["leftovers"]
    end

    def values(event, notes)
      values = event.given.merge!(event.fields)
      values["notes"] = ((values["notes"] || []) + notes).sort unless notes.empty?
      @derive.each { |into, expr| values[into] = expr.call(values) }
      values
    end

    def document(event, values)
      document = {}
      @emit.each do |into, expr|
        value = expr.call(values)
        assign(document, into, value) unless value.nil?
      end
      used = @columns.empty? ? @used : @used.merge(fill_columns(document, event))
      if @leftovers
        said = @said.reject { |_, expr| expr.call(values).nil? }.to_h
        rest = gather(event, used, said)
        place(document, rest) unless rest.empty?
      end
      document
    end

    private

    def path(text)
      text.split(".").map { |part| [part.sub(/\[0\]\z/, ""), part.end_with?("[0]")] }
    end

    def assign(document, path, value)
      *parents, (name, _) = path
      place = parents.reduce(document) do |at, (parent, list)|
        list ? (at[parent] ||= [{}])[0] : (at[parent] ||= {})
      end
      place[name] = value
    end

    # Wire keys written literally into columns; those whose value the column's type took.
    def fill_columns(document, event)
      taken = {}
      event.chosen.each do |key, text|
        column = @columns[key]
        next if column.nil? || text.empty?
        value = column_value(column[1], text, event.received)
        next if value.nil?
        document[column[0]] = value
        taken[key] = true
      end
      taken
    end

    def column_value(type, text, received)
      case type
      when "int"
        value = Casts.integer(text)
        value && value.between?(-2**31, 2**31 - 1) ? value : nil
      when "long" then Casts.integer(text)
      when "real" then Casts.number(text)
      when "datetime"
        value = Times.read(text, received)
        value && Times.iso(value)
      else text
      end
    end

    # Pairs that no row carries.
    def gather(event, used, said)
      found = []
      event.chosen.each do |key, text|
        if event.left[key]
          found << [key, text]
        elsif !used.key?(key) && !said.key?(key)
          if event.listed[key]
            whole = key[0..key.rindex(".")] + "*"
            next if used.key?(whole) || said.key?(whole)
          end
          found << [key, text] unless text.empty?
        end
      end
      found + event.spare
    end

    # Keys from the wire are names inside the leftover place or behind its prefix, never paths.
    def place(document, rest)
      into, style = @leftovers
      return pairs(document, into, rest) if style == "pairs"
      home = document
      into.split(".").each { |part| home = (home[part] ||= {}) } if style == "object"
      prefix = style == "object" ? "" : into
      names = home.keys.map { |name| [name, true] }.to_h
      rest.each do |key, value|
        name = prefix + (prefix.empty? ? key : key.gsub(/[^A-Za-z0-9_]/, "_"))
        name = "#{prefix}raw_#{name[prefix.length..-1]}" if names.key?(name)
        if !home.key?(name)
          home[name] = value
        elsif home[name].is_a?(Array)
          home[name] << value
        else
          home[name] = [home[name], value]
        end
      end
    end

    # A `;` inside a value would forge a pair for every reader of the column.
    def pairs(document, into, rest)
      text = rest.map { |key, value| "#{key.gsub(';', '%3B')}=#{value.gsub(';', '%3B')}" }.join(";")
      held = document[into]
      document[into] = held.nil? || held.empty? ? text : "#{held};#{text}"
    end
  end

  class Converter
    def initialize(tables, switches)
      compiler = Compiler.new(tables["lookups"])
      steps = tables["steps"].map { |into, expr| [into, compiler.compile(expr)] }
      @plans = tables["plans"].map { |row| Plan.new(row, steps, compiler) }
      @decoder = Decoder.new(tables, switches)
    end

    def document(raw, received, nanoseconds, peer)
      event = @decoder.decode(raw, received, nanoseconds, peer)
      plan = @plans[event.entry.row["plan"]]
      notes = []
      loop do
        values = plan.values(event, notes)
        met = plan.needs.none? { |need| need.call(values).nil? }
        return plan.document(event, values) if met || plan.instead.nil?
        notes << plan.note unless plan.note.empty?
        plan = @plans[plan.instead]
      end
    end
  end

  # Lays `over` over `base`; what was overwritten and differs is given back.
  def self.merge(base, over)
    clashes = {}
    over.each do |name, value|
      held = base[name]
      if held.is_a?(Hash) && value.is_a?(Hash)
        inner = merge(held, value)
        clashes[name] = inner unless inner.empty?
      else
        clashes[name] = held unless held.nil? || held == value
        base[name] = value
      end
    end
    clashes
  end
end

def register(params)
  @source = params["source"]
  @peer = params["peer"] || ["[@metadata][input][tcp][source][ip]", "[host][ip]", "host"]
  @converter = Datto::Converter.new(tables, params["switches"] || [])
end

def filter(event)
  places = @source ? [@source] : ["[event][original]", "message"]
  line = places.map { |place| event.get(place) }.find { |value| value.is_a?(String) }
  if line.nil?
    event.tag("_datto_siem_failure")
    return [event]
  end
  peer = @peer.map { |place| event.get(place) }.find { |value| value.is_a?(String) }
  stamp = event.get("@timestamp").time
  received = stamp.to_i * 1000 + stamp.nsec / 1_000_000
  lay(event, line, @converter.document(line, received, stamp.nsec % 1_000_000, peer))
  [event]
end

# All that can fail is done before the event is changed.
def lay(event, line, document)
  tags = [document.delete("tags"), event.get("tags")].flatten.compact.uniq
  stamp = document.delete("@timestamp")
  stamp = LogStash::Timestamp.new(stamp) if stamp
  taken = ["message", "[event][original]", @source].compact.select { |place| event.get(place) == line }
  taken.each { |place| event.remove(place) }
  event.remove("event") if event.get("event") == {}
  base = event.to_hash
  clashes = Datto.merge(base, document)
  unless clashes.empty?
    clashes["shipper"] = base["shipper"] if base.key?("shipper")
    event.set("shipper", clashes)
  end
  document.each_key { |name| event.set("[#{name}]", base[name]) }
  event.set("@timestamp", stamp) if stamp
  event.set("tags", tags) unless tags.empty?
end

# Run by Logstash when it loads the pipeline, and by `logstash -t`.
test "a line becomes a document" do
  parameters { {} }
  in_event { { "message" => "CEF:1|Datto|AccessPoint|7.1.0|no such|event|0|a=1", "other" => 7 } }
  expect("one event") { |events| events.size == 1 }
  expect("its own fields are kept") { |events| events[0].get("other") == 7 }
  expect("its event is told") { |events| events[0].to_hash.to_s.include?("no such") }
  expect("nothing failed") { |events| !events[0].get("tags").to_a.include?("_datto_siem_failure") }
end

# What comes from the mapping tables.
def tables
  {
    @TABLES@
  }
end
