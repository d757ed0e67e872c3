"""User-supplied loaders, features and trainers in a night: called in this process, checked like any other input."""
