"""Words of the trade: frames, records, identities, time and money. Knows nothing else."""
