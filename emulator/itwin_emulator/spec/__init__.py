"""The table of operations, the schemas of their bodies, and the OpenAPI document made from them."""
