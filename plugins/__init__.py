"""Whatever touches a product or the outside world; one folder a kind."""
