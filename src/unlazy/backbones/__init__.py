"""Backbones: one adapter per library or kind of model; each wraps, none re-implements."""
