"""Whose past counts in a pool: historical constituents, each base asset and each price once, and who was lost
tonight.
"""
