"""Fixes: from a backbone to a backbone that shares its weights."""
