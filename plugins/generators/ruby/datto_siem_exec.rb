# @STAMP@
# Logstash ruby filter: hands every event to ONE long-running `datto-siem filter` and takes the
# document back. Ruby 2.5 or later (Logstash 7 to 9).
#
# script_params:
#   command       the program and its arguments, an array; it must speak `--protocol ndjson`
#   source        top-level field that holds Datto's line, as given to `--field`; default "message"
#   timeout       seconds to wait for one reply; default 30
#   backoff_first seconds until a program that never answered is started again; default 1
#   backoff_last  the longest such wait, doubled each time until here; default 60
#
# Decisions:
#   An event is never lost. Without a document it goes on as it came, tagged `_datto_siem_timeout`
#   (no reply in time) or `_datto_siem_failure` (the program died, or is not there).
#   Converting has no side effects, so an event whose program died is asked once more of a fresh
#   one. An event that kills two in a row is the cause, and goes on tagged.
#   A program that was asked nothing for ten minutes is ended, so that a reloaded pipeline leaves none
#   behind; the next event starts one.
#   While a program that never answered is not to be started yet, events go on tagged at once:
#   a broken installation slows nothing down.
#   Workers share the filter. One mutex lets one of them speak at a time.

require "json"

# What one program is asked and answers, by a thread of its own: only so can a write into a full
# pipe be given up, and a blocking read needs no select, which JRuby lacks for pipes on some systems.
class Child
  Gone = Class.new(StandardError)
  Late = Class.new(StandardError)
  IDLE = 600 # seconds

  attr_reader :pid

  def initialize(command)
    @io = IO.popen(command, "r+b")
    @pid = @io.pid
    @lock = Mutex.new
    @turn = ConditionVariable.new
    @request = @reply = nil
    @over = false
    @thread = Thread.new { serve }
  end

  # One line in, one line out.
  def ask(line, timeout)
    limit = Process.clock_gettime(Process::CLOCK_MONOTONIC) + timeout
    @lock.synchronize do
      raise Gone, "it ended" if @over
      @request = line
      @reply = nil
      @turn.broadcast
      until @reply || @over
        left = limit - Process.clock_gettime(Process::CLOCK_MONOTONIC)
        raise Late, "no reply within #{timeout} seconds" if left <= 0
        @turn.wait(@lock, left)
      end
      raise Gone, "it ended before it answered" unless @reply
      @reply
    end
  end

  def kill
    @lock.synchronize { @over = true; @turn.broadcast }
    begin
      Process.kill("KILL", @pid) if @thread.alive? # else it is gone, and its number may be another's
    rescue SystemCallError
      nil # it has just ended
    end
    @thread.join
  end

  # The program ends by itself when its input ends.
  def close
    @lock.synchronize { @over = true; @turn.broadcast }
    @thread.join
  end

  private

  def serve
    while (line = next_request)
      @io.write(line, "\n")
      @io.flush
      reply = @io.gets("\n")
      break unless reply && reply.end_with?("\n")
      answer(reply)
    end
  rescue SystemCallError, IOError
    nil # a broken pipe: told by @over
  ensure
    @lock.synchronize { @over = true; @turn.broadcast }
    begin
      @io.close # waits for the program, so that no dead one stays behind
    rescue SystemCallError, IOError
      nil
    end
  end

  def next_request
    limit = Process.clock_gettime(Process::CLOCK_MONOTONIC) + IDLE
    @lock.synchronize do
      until @request || @over
        left = limit - Process.clock_gettime(Process::CLOCK_MONOTONIC)
        return nil if left <= 0
        @turn.wait(@lock, left)
      end
      line = @request
      @request = nil
      @over ? nil : line
    end
  end

  def answer(reply)
    @lock.synchronize { @reply = reply; @turn.broadcast }
  end
end

# The one program: started when first asked, and again when it is gone.
class Program
  Down = Class.new(StandardError)

  attr_reader :starts

  def initialize(command, timeout, first, last)
    @command = command
    @timeout = timeout
    @first = first
    @last = last
    @lock = Mutex.new
    @child = nil
    @answered = true
    @wait = 0
    @not_before = nil
    @starts = 0
  end

  # The reply. Raises Child::Late, or Down when there is none to be had.
  def ask(line)
    @lock.synchronize do
      begin
        once(line)
      rescue Child::Gone
        begin
          once(line)
        rescue Child::Gone => error
          raise Down, error.message
        end
      end
    end
  end

  def pid
    @lock.synchronize { @child && @child.pid }
  end

  def close
    @lock.synchronize do
      @child.close if @child
      @child = nil
    end
  end

  private

  def once(line)
    start unless @child
    reply = @child.ask(line, @timeout)
    @answered = true
    @wait = 0
    reply
  rescue Child::Gone, Child::Late
    @child.kill
    @child = nil
    raise
  end

  def start
    unless @answered # the last one was of no use: not at once again
      now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
      unless @not_before
        @wait = @wait.zero? ? @first : [@wait * 2, @last].min
        @not_before = now + @wait
      end
      raise Down, "it is started again in #{(@not_before - now).ceil} seconds" if now < @not_before
    end
    @not_before = nil
    @answered = false
    @starts += 1
    @child = Child.new(@command)
  rescue SystemCallError => error
    raise Down, error.message
  end
end

def register(params)
  command = params["command"] || ["/opt/datto-siem/bin/datto-siem", "filter", "--to", "@TARGET@",
                                  "--protocol", "ndjson"]
  @source = params["source"] || "message"
  @program = Program.new(
    command,
    Float(params["timeout"] || 30),
    Float(params["backoff_first"] || 1),
    Float(params["backoff_last"] || 60)
  )
end

def filter(event)
  take(event, JSON.parse(@program.ask(event.to_json), :max_nesting => false))
  [event]
rescue Child::Late => error
  untouched(event, "_datto_siem_timeout", error)
rescue StandardError => error
  untouched(event, "_datto_siem_failure", error)
end

# Lays the reply over the event. All that can fail is done before the event is changed.
def take(event, document)
  raise TypeError, "the reply is no object" unless document.is_a?(Hash)
  tags = [document.delete("tags"), event.get("tags")].flatten.compact.uniq
  stamp = document.delete("@timestamp")
  stamp = stamp && LogStash::Timestamp.new(stamp.to_s)
  event.remove(@source) unless document.key?(@source)
  document.each { |name, value| event.set("[#{name}]", value) unless name.empty? || name =~ /[\[\]]/ }
  event.set("@timestamp", stamp) if stamp
  event.set("tags", tags) unless tags.empty?
end

def untouched(event, tag, error)
  logger.warn("datto-siem: event goes on unconverted", :tag => tag, :reason => error.message) if
    respond_to?(:logger)
  event.tag(tag)
  [event]
end

# Run by Logstash when it loads the pipeline, and by `logstash -t`.
test "without the program the event goes on as it came" do
  parameters { { "command" => ["/nonexistent/datto-siem"] } }
  in_event { { "message" => "CEF:1|Datto|x", "other" => 7 } }
  expect("it is kept") { |events| events.size == 1 && events[0].get("message") == "CEF:1|Datto|x" }
  expect("its fields are kept") { |events| events[0].get("other") == 7 }
  expect("it is tagged") { |events| events[0].get("tags") == ["_datto_siem_failure"] }
end

if File.executable?("/bin/cat") # a program that answers each record with itself
  test "the reply is taken over" do
    parameters { { "command" => ["/bin/cat"] } }
    in_event { { "message" => "line", "a" => { "b" => ["c"] } } }
    expect("all is there") { |events| events[0].get("[a][b]") == ["c"] }
    expect("nothing is tagged") { |events| events[0].get("tags").nil? }
  end
end
