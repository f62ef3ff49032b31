"""
What waiting costs: ``make bench`` measures it, beside a hand-written loop and beside other providers.

Everything happens on loopback, in processes that end with the bench; ``python -m benchmarks --help`` says what can be chosen.
"""
