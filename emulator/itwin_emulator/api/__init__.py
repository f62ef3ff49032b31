"""The operations of the API, one module for each resource, and how entities are serialized."""
