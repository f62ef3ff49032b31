"""The emulated API: one module per resource, the serialization of entities, and their JSON cache."""
