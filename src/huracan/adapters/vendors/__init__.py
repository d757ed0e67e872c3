"""Other sources of the same market, to compare with; each needs the extra ``vendors``."""
