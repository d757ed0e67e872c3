"""Programs to copy: they use Huracan as its users do."""
