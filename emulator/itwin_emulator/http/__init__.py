"""HTTP: requests, responses, errors, tokens, rate limits and faults."""
