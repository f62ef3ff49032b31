"""Waiting for runs: what to wait for, when to poll, when to give up."""
