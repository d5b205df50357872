# ruby logstash_run.rb SCRIPT PARAMS [WORKERS] < events > events
# One JSON object a line each way, in order with one worker. The first line out is the number of
# expectations of the script's own tests that held. A field "base64" becomes the message: bytes that
# need not be UTF-8.

require_relative "logstash_stub"

script = Script.new(ARGV[0])
$stdout.sync = true
puts script.test
script.register(JSON.parse(ARGV[1]))
$stdin.set_encoding("UTF-8")
reading = Mutex.new
writing = Mutex.new
Array.new(Integer(ARGV[2] || "1")) do
  Thread.new do
    while (line = reading.synchronize { $stdin.gets })
      fields = JSON.parse(line)
      bytes = fields.delete("base64")
      fields["message"] = bytes.unpack1("m0").force_encoding("UTF-8") if bytes
      script.filter(LogStash::Event.new(fields)).each do |event|
        text = event.to_json
        writing.synchronize { $stdout.write(text, "\n") }
      end
    end
  end
end.each(&:join)
