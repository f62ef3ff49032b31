"""The specification: the table of operations, their router, the schemas of bodies, and the OpenAPI document."""
