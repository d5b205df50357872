"""The forwarder: intake, durable log, delivery, supervision."""
