"""Probes: small models that are trained on frozen tokens, and what they say of other pictures."""
