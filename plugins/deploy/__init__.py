"""Files to run the forwarder with: systemd unit, container, example configuration."""
