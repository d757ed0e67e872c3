"""What a worker does for one pair: bring its bars up to date, prepare features and labels, train, each from stored
inputs alone.
"""
