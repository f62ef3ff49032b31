"""HTTP: responses, errors, tokens, rate limits, faults, the request log and the blob endpoint."""
