# What a ruby filter script meets inside Logstash: the event, the timestamp, and how a script is
# loaded, tested and run. Written from the plugin's documented behaviour; nothing of it is copied.

require "json"
require "time"

module LogStash
  class Timestamp
    attr_reader :time

    def initialize(text)
      @time = Time.iso8601(text)
    end

    def to_s
      @time.getutc.strftime("%Y-%m-%dT%H:%M:%S.%LZ")
    end

    def to_json(*_args)
      to_s.to_json
    end
  end

  class Event
    ALLOWED = [String, Integer, Float, TrueClass, FalseClass, NilClass, Hash, Array, Timestamp].freeze

    def initialize(fields = {})
      @fields = { "@version" => "1", "@timestamp" => Timestamp.new("2026-11-24T10:00:00.000Z") }
      @metadata = fields.delete("@metadata") || {}
      fields.each { |name, value| @fields[name] = value }
      if @fields["@timestamp"].is_a?(String)
        @fields["@timestamp"] = Timestamp.new(@fields["@timestamp"])
      end
    end

    def get(reference)
      path(reference).reduce(@fields.merge("@metadata" => @metadata)) do |place, name|
        case place
        when Hash then place[name]
        when Array then name =~ /\A-?[0-9]+\z/ ? place[name.to_i] : nil
        end
      end
    end

    def set(reference, value)
      check(value)
      raise TypeError, "wrong timestamp" if reference =~ /\A\[?@timestamp\]?\z/ && !value.is_a?(Timestamp)
      *parents, last = path(reference)
      place = parents.reduce(@fields) { |at, name| at[name] = at[name].is_a?(Hash) ? at[name] : {} }
      place[last] = value
    end

    def remove(reference)
      *parents, last = path(reference)
      place = parents.reduce(@fields) { |at, name| at.is_a?(Hash) ? at[name] : nil }
      place.delete(last) if place.is_a?(Hash)
    end

    def include?(reference)
      !get(reference).nil?
    end

    def tag(name)
      tags = [@fields["tags"]].flatten.compact
      @fields["tags"] = tags.include?(name) ? tags : tags + [name]
    end

    def to_hash
      Marshal.load(Marshal.dump(@fields))
    end

    def to_json(*_args)
      JSON.generate(@fields)
    end

    def cancel
      @cancelled = true
    end

    private

    def path(reference)
      return [reference] unless reference.start_with?("[")
      raise ArgumentError, "bad field reference #{reference.inspect}" unless
        reference =~ /\A(\[[^\[\]]+\])+\z/
      reference[1..-2].split("][")
    end

    # Logstash takes plain values only, and its texts are valid UTF-8.
    def check(value)
      raise TypeError, "no value for an event: #{value.class}" unless
        ALLOWED.any? { |kind| value.is_a?(kind) }
      case value
      when String then raise TypeError, "no UTF-8" unless value.dup.force_encoding("UTF-8").valid_encoding?
      when Hash then value.each { |key, inner| check(key); check(inner) }
      when Array then value.each { |inner| check(inner) }
      end
    end
  end
end

# Loads a script as the plugin does: evaluated inside a blank object, tests first.
class Script
  class Context
    def initialize(tests)
      @tests = tests
    end

    def test(name, &block)
      @tests << [name, block] if @tests
    end

    def logger
      Quiet
    end
  end

  module Quiet
    def self.warn(*_args); end
  end

  class Test
    attr_reader :failures

    def initialize(script, name)
      @name = name
      @context = script.context(nil)
      @expectations = []
      @failures = []
    end

    def parameters
      @context.register(yield)
    end

    def in_event
      given = yield
      @events = (given.is_a?(Hash) ? [given] : given).map { |fields| LogStash::Event.new(fields) }
    end

    def expect(name, &block)
      @expectations << [name, block]
    end

    def run
      results = @events.flat_map { |event| @context.filter(event) }
      @expectations.each { |name, block| @failures << "#{@name}: #{name}" unless block.call(results) }
      @expectations.size
    end
  end

  def initialize(path)
    @path = path
    @text = File.read(path, :encoding => "UTF-8")
    @tests = []
    @main = context(@tests)
  end

  def context(tests)
    fresh = Context.new(tests)
    fresh.instance_eval(@text, @path, 1)
    fresh
  end

  # The number of expectations that held. Raises when one did not, as Logstash refuses to start.
  def test
    @tests.sum do |name, block|
      one = Test.new(self, name)
      one.instance_eval(&block)
      count = one.run
      raise "failed: #{one.failures.join(', ')}" unless one.failures.empty?
      count
    end
  end

  def register(params)
    @main.register(params)
  end

  def filter(event)
    found = @main.filter(event)
    raise "a filter must return events" unless
      found.is_a?(Array) && found.all? { |each| each.is_a?(LogStash::Event) }
    found
  end
end
