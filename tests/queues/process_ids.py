"""What the hints of real worker processes in these tests do, by their one id."""

STAY = 500
KILL_PROCESS = 501
KILL_WORKER_THREAD = 502
KILL_CONSUMER_THREADS = 503
SHORT = 504
SHORT_S = 1.5
