"""Tests of the harness: python3 -m unittest discover -s benchmarks/harness/tests -t benchmarks."""
