"""The scenario operator: an operator's console as a program."""
