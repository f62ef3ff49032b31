"""One HTTP request, from configuration and token to its response or error."""
