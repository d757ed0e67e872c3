"""The `huracan` command. Every command takes --json; exit status: 0 done, 2 usage, 3 data, 4 backend, 5 publish, 6
locked.
"""
