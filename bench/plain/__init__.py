"""The yardstick of bench/load.py: the same framework, queue library and servers, and none of what Lockstep adds.

It keeps a message before it answers 202 and sends each once while nothing goes wrong. It has no token, no
idempotency key, no limit, no lease, no sweeper, no log and no metric.
"""
