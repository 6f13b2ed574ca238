"""Measurements: each turns traces into numbers a picture and about the data set."""
