"""Trend, range, panic, illiquid: the classifier that names the hour, and the gate that decides who may vote in it."""
