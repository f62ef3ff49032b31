"""
The cost of waiting, compared with a minimal hand-written loop and with other providers (``make bench``).

The benchmark uses loopback only. Its processes end with it. ``python -m benchmarks --help`` lists the options.
"""
