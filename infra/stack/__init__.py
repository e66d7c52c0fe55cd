"""Private RabbitMQ, Redis and PostgreSQL for the length of one command: tests, the fleet on one machine, benchmarks."""
