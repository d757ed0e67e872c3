"""Use cases beside the night: examine, fill, compare, publish, pull, serve. The command line calls them."""
