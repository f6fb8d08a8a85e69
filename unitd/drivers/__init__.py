"""One file for each real device or protocol; drivers decide nothing."""
