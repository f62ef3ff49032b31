"""HTTP: responses, errors, tokens, rate limits, faults and the request log."""
